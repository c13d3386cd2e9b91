"""Prometheus' files, made of values."""

from typing import Any

import pytest
from ruamel.yaml import YAML

from finsight_serve.domain import Alert, ScrapeJob
from finsight_serve.observability.alerts import BURNS, alerts
from finsight_serve.observability.metrics import METRICS
from finsight_serve.observability.prometheus import ALERT_RULES, CONFIG, RECORDING_RULES, Found, render
from finsight_serve.observability.recording import WINDOWS, recordings

FOREIGN = Alert("AcmeLost", "acme_up == 0", 30, "warning", "Acme is lost", "It was there.", "acme-lost")
JOB = ScrapeJob("acme", {"static_configs": [{"targets": ["h:1"]}], "relabel_configs": [{"action": "labeldrop"}]})


def rendered(listen: str = "127.0.0.1:9464", *jobs: Found, runbooks: str = "runbooks") -> dict[str, Any]:
    files = render("shop", listen, jobs, recordings(), alerts((FOREIGN,)), runbooks)
    return {name: YAML(typ="safe").load(text) for name, text in files.items()}


def labels(job: dict[str, Any]) -> dict[str, str]:
    return {one["target_label"]: one["replacement"] for one in job["relabel_configs"] if "target_label" in one}


def test_the_controller_and_the_engines_are_always_scraped() -> None:
    controller, engines = rendered()[CONFIG]["scrape_configs"]
    assert controller["static_configs"] == [{"targets": ["127.0.0.1:9464"]}]
    assert engines["http_sd_configs"][0]["url"] == "http://127.0.0.1:9464/replicas"
    assert labels(controller) == {"job": "finsight-controller", "stack": "shop"}


@pytest.mark.parametrize(
    ("listen", "target"),
    [("0.0.0.0:9464", "127.0.0.1:9464"), ("[::]:9464", "[::1]:9464"), ("10.0.0.1:9464", "10.0.0.1:9464")],
)
def test_what_listens_everywhere_is_read_on_loopback(listen: str, target: str) -> None:
    controller, _ = rendered(listen)[CONFIG]["scrape_configs"]
    assert controller["static_configs"] == [{"targets": [target]}]


def test_a_plugins_job_keeps_its_words_and_is_told_apart_by_labels() -> None:
    job = rendered("127.0.0.1:1", Found(JOB, {"backend": "east"}))[CONFIG]["scrape_configs"][-1]
    assert (job["job_name"], job["static_configs"]) == ("shop-east-acme", [{"targets": ["h:1"]}])
    assert job["relabel_configs"][0] == {"action": "labeldrop"}
    assert labels(job) == {"job": "finsight-acme", "stack": "shop", "backend": "east"}


def test_two_backends_of_one_plugin_are_one_job_in_two_entries() -> None:
    """Prometheus takes no two entries of one name."""
    both = (Found(JOB, {"backend": "east"}), Found(JOB, {"backend": "west"}))
    entries = rendered("127.0.0.1:1", *both)[CONFIG]["scrape_configs"]
    names = [entry["job_name"] for entry in entries]
    assert len(set(names)) == len(names) == 4
    assert [labels(entry)["job"] for entry in entries[2:]] == ["finsight-acme"] * 2


def test_every_alert_says_how_bad_it_is_and_where_to_read_on() -> None:
    rules = rendered(runbooks="https://wiki/books/")[ALERT_RULES]["groups"][0]["rules"]
    assert [rule["alert"] for rule in rules] == [alert.name for alert in alerts((FOREIGN,))]
    for rule, alert in zip(rules, alerts((FOREIGN,)), strict=True):
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"] and rule["annotations"]["description"].endswith(".")
        link = f"https://wiki/books/finsight_failure_runbook.md#{alert.runbook}"
        assert rule["annotations"]["runbook_url"] == link


def test_every_window_of_the_budget_is_recorded() -> None:
    assert {window for burn in BURNS for window in (burn.long, burn.short)} == set(WINDOWS)
    names = [rule["record"] for rule in rendered()[RECORDING_RULES]["groups"][0]["rules"]]
    assert len(set(names)) == len(names) and all(name.count(":") == 2 for name in names)


def test_rules_ask_for_nothing_that_is_not_told_or_recorded() -> None:
    told = {metric.sample for metric in METRICS} | {rule.name for rule in recordings()} | {"up"}
    for rule in (*recordings(), *alerts()):
        words = set("".join(c if c.isalnum() or c in "_:" else " " for c in rule.expr).split())
        asked = {word for word in words if word.startswith("finsight_") or ":finsight_" in word}
        assert asked <= told, rule.name
        assert asked or "up" in words


def test_descriptions_are_the_same_for_all_series() -> None:
    """What differs stands in the summary, which is what a page shows."""
    assert not any("{{" in alert.description for alert in alerts())
