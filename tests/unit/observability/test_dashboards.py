"""What is drawn: of series that there are, where the alerts look, and once."""

import re
from collections.abc import Iterator

import pytest

from finsight_serve.domain import Dashboard
from finsight_serve.domain.dashboard import Panel
from finsight_serve.host import Host
from finsight_serve.observability.alerts import alerts
from finsight_serve.observability.dashboards import dashboards
from finsight_serve.observability.grafana import VARIABLES
from finsight_serve.observability.metrics import METRICS
from finsight_serve.observability.recording import recordings

OF_PROMETHEUS = {"ALERTS", "up"}


def installed(attribute: str) -> Iterator[object]:
    host = Host()
    for row in host.installed():
        if row.kind in ("orchestrator", "load_balancer", "engine"):
            yield from getattr(host.load(row.kind, row.name), attribute, ())


OWN = dashboards()
EVERY: tuple[Dashboard, ...] = dashboards(installed("dashboards"))  # type: ignore[arg-type]
PANELS = [panel for dashboard in EVERY for panel in dashboard.panels]


def series(expr: str) -> set[str]:
    """Each is narrowed by labels, so a brace follows its name."""
    return set(re.findall(r"([A-Za-z_:][\w:]*)\{", expr))


def test_plugins_bring_dashboards_of_their_own() -> None:
    assert {dashboard.name for dashboard in EVERY} >= {"overview", "deployments", "tenants", "ray", "vllm"}


@pytest.mark.parametrize("dashboard", OWN, ids=lambda one: one.name)
def test_it_asks_for_nothing_that_is_not_told_or_recorded(dashboard: Dashboard) -> None:
    told = {metric.sample for metric in METRICS} | {rule.name for rule in recordings()} | OF_PROMETHEUS
    for query in dashboard.queries:
        assert series(query.expr) and series(query.expr) <= told, query.expr


def test_every_family_and_recorded_rule_is_drawn_or_known_not_to_be() -> None:
    drawn = {name for dashboard in OWN for query in dashboard.queries for name in series(query.expr)}
    by_hand = {"stack:finsight_requests_errors:rate5m", "stack:finsight_requests_let_through:rate5m"}
    between = {rule.name for rule in recordings() if rule.name.endswith(("rate30m", "rate2h"))}
    assert {metric.sample for metric in METRICS} | {rule.name for rule in recordings()} == (
        (drawn - OF_PROMETHEUS) | by_hand | between
    )


@pytest.mark.parametrize("dashboard", EVERY, ids=lambda one: one.name)
def test_queries_are_of_what_was_chosen(dashboard: Dashboard) -> None:
    for query in dashboard.queries:
        assert set(re.findall(r"\$(\w+)", query.expr)) <= {*VARIABLES, "__rate_interval"}
        unchosen = [at for at in re.findall(r"\{([^}]*)\}", query.expr) if "$stack" not in at and "finsight-" not in at]
        assert unchosen == [], query.expr


def test_every_alert_is_watched_where_people_look() -> None:
    known = {alert.name for alert in alerts(tuple(installed("alerts")))}  # type: ignore[arg-type]
    assert {name for panel in PANELS for name in panel.alerts} == known


@pytest.mark.parametrize("dashboard", EVERY, ids=lambda one: one.name)
def test_titles_are_told_apart(dashboard: Dashboard) -> None:
    titles = [panel.title for panel in dashboard.panels]
    assert len(set(titles)) == len(titles)
    assert re.fullmatch(r"[a-z0-9-]{1,31}", dashboard.name)


def test_names_and_titles_of_dashboards_are_told_apart() -> None:
    assert len({one.name for one in EVERY}) == len({one.title for one in EVERY}) == len(EVERY)


@pytest.mark.parametrize("panel", PANELS, ids=lambda one: one.title)
def test_a_panel_says_what_it_shows(panel: Panel) -> None:
    assert panel.says.endswith(".")
    assert panel.kind != "table" or len(panel.queries) == 1
    assert panel.kind in ("number", "table") or all(query.legend for query in panel.queries)
    assert (panel.kind == "states") == bool(panel.states)
    heights = [step.at for step in panel.steps]
    assert not heights or (heights[0] is None and heights[1:] == sorted(heights[1:]))
