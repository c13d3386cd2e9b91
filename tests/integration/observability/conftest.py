import shutil
from pathlib import Path

import pytest

from finsight_serve.domain import Alert
from finsight_serve.observability.alerts import alerts
from finsight_serve.observability.prometheus import Found, render
from finsight_serve.observability.recording import recordings
from finsight_serve_nginx.monitoring import ALERTS as OF_NGINX
from finsight_serve_ray.monitoring import ALERTS, scrape_jobs


def find(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is missing (Debian's prometheus)")
    return path


@pytest.fixture(scope="session")
def promtool() -> str:
    return find("promtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    return find("prometheus")


@pytest.fixture(scope="session")
def every_alert() -> tuple[Alert, ...]:
    return alerts((*OF_NGINX, *ALERTS))


@pytest.fixture(scope="session")
def rules(tmp_path_factory: pytest.TempPathFactory, every_alert: tuple[Alert, ...]) -> Path:
    """A folder with what `fs plan -o prometheus` writes."""
    folder = tmp_path_factory.mktemp("rules")
    jobs = [Found(job, {"backend": name}) for name in ("east", "west") for job in scrape_jobs("http://h:1", Path("/t"))]
    for name, text in render("s", "127.0.0.1:9464", jobs, recordings(), every_alert, "runbooks").items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder
