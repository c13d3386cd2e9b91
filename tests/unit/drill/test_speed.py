"""The shipped rules, so many times as fast, by one factor and nothing else."""

import pytest
from ruamel.yaml import YAML

from finsight_serve.domain import ScrapeJob
from finsight_serve.drill.speed import divided, hasten, hastened_expr
from finsight_serve.observability.alerts import alerts
from finsight_serve.observability.prometheus import ALERT_RULES, CONFIG, RECORDING_RULES, Found, render
from finsight_serve.observability.recording import recordings

JOB = Found(
    ScrapeJob("x", {"http_sd_configs": [{"url": "http://h:2/sd", "refresh_interval": "15s"}]}), {"backend": "x"}
)
FILES = render("s", "127.0.0.1:9464", [JOB], recordings(), alerts(), "runbooks")


def loaded(name: str, speed: int):
    return YAML(typ="safe").load(hasten(FILES, speed)[name])


def rules(speed: int):
    return {one["alert"]: one for one in loaded(ALERT_RULES, speed)["groups"][0]["rules"]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [("60s", "4000ms"), ("5m", "20000ms"), ("1d", "5760000ms"), ("1ms", "1ms"), ("2h", "480000ms")],
)
def test_a_duration_is_divided(given: str, expected: str) -> None:
    assert divided(given, 15) == expected


def test_what_is_no_duration_is_refused() -> None:
    with pytest.raises(ValueError, match="not a duration: 5 m"):
        divided("5 m", 15)


def test_for_windows_and_fixed_waits_are_divided_and_thresholds_are_not() -> None:
    fast = rules(15)
    assert fast["FinSightControllerDown"]["for"] == "4000ms"
    assert "[8000ms]" in fast["FinSightStateNotStored"]["expr"]
    assert (
        fast["FinSightCutOverMissed"]["expr"].endswith("> 4") and "[60000ms]" in fast["FinSightCutOverMissed"]["expr"]
    )
    assert "+ 120)" in fast["FinSightMigrationStuck"]["expr"]
    assert fast["FinSightErrorBudgetBurn1h"]["expr"] == rules(1)["FinSightErrorBudgetBurn1h"]["expr"]
    assert fast["FinSightCertificateExpiring"]["expr"].endswith("< 1209600")


def test_names_of_what_is_recorded_stay() -> None:
    expr = "avg_over_time(stack:finsight_requests_errors:rate5m[1h]) > 0"
    assert hastened_expr(expr, 15) == "avg_over_time(stack:finsight_requests_errors:rate5m[240000ms]) > 0"
    names = [one["record"] for one in loaded(RECORDING_RULES, 15)["groups"][0]["rules"]]
    assert names == [one.name for one in recordings()]


def test_of_a_subquery_both_durations_are_divided() -> None:
    assert hastened_expr("resets((sum(requests_count))[15m:15s]) > 0", 15) == (
        "resets((sum(requests_count))[60000ms:1000ms]) > 0"
    )


def test_intervals_are_divided_wherever_they_stand() -> None:
    config = loaded(CONFIG, 15)
    assert config["global"] == {"scrape_interval": "1000ms", "evaluation_interval": "1000ms"}
    assert all(
        discovery["refresh_interval"] == "1000ms"
        for job in config["scrape_configs"]
        for discovery in job.get("http_sd_configs", ())
    )


def test_by_one_nothing_changes_but_the_unit() -> None:
    shipped = {one["alert"]: one for one in YAML(typ="safe").load(FILES[ALERT_RULES])["groups"][0]["rules"]}
    for name, rule in rules(1).items():
        assert {**rule, "expr": "", "for": ""} == {**shipped[name], "expr": "", "for": ""}
    assert rules(1)["FinSightControllerDown"]["for"] == "60000ms"


def test_every_rule_that_waits_waits_less() -> None:
    for alert in alerts():
        assert ("for" in rules(15)[alert.name]) == bool(alert.for_s)
        assert not alert.for_s or rules(15)[alert.name]["for"] == f"{round(alert.for_s * 1000 / 15)}ms"
