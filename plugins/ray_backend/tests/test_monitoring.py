"""Where Prometheus reads a Ray cluster, and by what it misses the head."""

from pathlib import Path

from finsight_serve.domain import ScrapeJob
from finsight_serve.testing import make_env
from finsight_serve_ray.monitoring import ALERTS, HEARTBEAT, REQUESTS
from finsight_serve_ray.options import Options
from finsight_serve_ray.ray_serve import RayServe


def jobs(folder: Path, **options: object) -> tuple[ScrapeJob, ...]:
    return tuple(RayServe(Options(**options), make_env(folder)).scrape_jobs())  # type: ignore[arg-type]


def test_a_cluster_of_others_is_found_by_its_own_discovery(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, address="head:8265", auth_token_file=tmp_path / "token")
    (discovery,) = job.config["http_sd_configs"]
    assert discovery["url"] == "http://head:8265/api/prometheus/sd"
    assert discovery["authorization"] == {"type": "Bearer", "credentials_file": str(tmp_path / "token")}


def test_without_a_token_none_is_sent(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, address="https://head:443")
    assert "authorization" not in job.config["http_sd_configs"][0]


def test_the_token_itself_is_not_in_the_job(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret")
    assert "s3cret" not in repr(jobs(tmp_path, address="head:8265", auth_token_file=token))


def test_a_local_cluster_that_never_ran_has_no_port_yet(tmp_path: Path) -> None:
    assert jobs(tmp_path) == ()
    (job,) = jobs(tmp_path, dashboard_port=8265)
    assert job.config["http_sd_configs"][0]["url"] == "http://127.0.0.1:8265/api/prometheus/sd"


def test_alerts_are_told_by_metrics_that_rays_dashboard_exports() -> None:
    from ray.dashboard.dashboard_metrics import DashboardPrometheusMetrics

    exported = {family.name for family in DashboardPrometheusMetrics().registry.collect()}
    assert {HEARTBEAT, REQUESTS.removesuffix("_count")} <= exported
    assert [metric in alert.expr for metric, alert in zip((HEARTBEAT, REQUESTS), ALERTS, strict=True)] == [True, True]
