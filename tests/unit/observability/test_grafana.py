"""Grafana's files, made of values."""

import json
from itertools import combinations
from typing import Any

import pytest
from ruamel.yaml import YAML

from finsight_serve.domain import Dashboard
from finsight_serve.domain.dashboard import Panel, Query, Row, State, Step
from finsight_serve.observability.alerts import alerts
from finsight_serve.observability.dashboards import dashboards
from finsight_serve.observability.grafana import render_grafana

from .grafana_schema import problems
from .test_dashboards import EVERY, installed

ALERTS = alerts(tuple(installed("alerts")))  # type: ignore[arg-type]
FILES = render_grafana(EVERY, ALERTS, "https://wiki/books/", "http://prom:9090")
PAGES = [name for name in FILES if name.endswith(".json")]
STATES = Panel("S", "count", (Query("s{}", "x"),), "S.", "states", states=(State("no", "critical"), State("yes", "ok")))
GRAPH = Panel(
    "G",
    "seconds",
    (Query("a{}", "a"), Query("b{}", "b", is_bound=True)),
    "G.",
    alerts=("FinSightQueueDeep",),
    steps=(Step("ok"), Step("critical", 9)),
)
NUMBER = Panel("N", "ratio", (Query("n{}"),), "N.", "number", width=4)


def drawn(*panels: Panel, runbooks: str = "https://wiki") -> list[dict[str, Any]]:
    files = render_grafana([Dashboard("d", "D", (Row("R", panels),))], ALERTS, runbooks, "http://p")
    found: list[dict[str, Any]] = json.loads(files["dashboards/finsight-d.json"])["panels"]
    return found


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_by_grafanas_published_schema(name: str) -> None:
    assert problems(FILES[name]) == []


def test_the_schema_finds_what_is_wrong() -> None:
    page = json.loads(FILES["dashboards/finsight-overview.json"])
    page["colour"] = "red"
    page["panels"][1]["options"]["graphMode"] = "cake"
    page["panels"][1]["gridPos"]["w"] = "wide"
    told = problems(json.dumps(page))
    assert [line.partition(":")[0] for line in told] == [
        "colour",
        ".panels[1].grid_pos.w",
        ".panels[1].options.graph_mode",
    ]


@pytest.mark.parametrize("name", PAGES)
def test_ids_are_told_apart_and_no_panel_covers_another(name: str) -> None:
    panels = json.loads(FILES[name])["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_addresses_of_pages_are_told_apart() -> None:
    pages = [json.loads(FILES[name]) for name in PAGES]
    assert len({page["uid"] for page in pages}) == len({page["title"] for page in pages}) == len(pages)
    assert all(len(page["uid"]) <= 40 for page in pages)


def test_a_full_line_goes_on_below() -> None:
    _, *places = [panel["gridPos"] for panel in drawn(NUMBER, GRAPH, GRAPH, GRAPH)]
    assert [(at["x"], at["y"], at["h"]) for at in places] == [(0, 1, 4), (4, 1, 8), (12, 1, 8), (0, 9, 8)]


def test_only_what_queries_ask_for_can_be_chosen() -> None:
    chosen = {name: [one["name"] for one in json.loads(FILES[name])["templating"]["list"]] for name in PAGES}
    assert chosen["dashboards/finsight-tenants.json"] == ["datasource", "stack", "tenant"]
    assert chosen["dashboards/finsight-deployments.json"] == ["datasource", "stack", "deployment"]


def test_a_bound_is_drawn_apart_and_a_threshold_as_a_line() -> None:
    _, graph = drawn(GRAPH)
    (bound,) = graph["fieldConfig"]["overrides"]
    assert bound["matcher"] == {"id": "byFrameRefID", "options": "B"}
    defaults = graph["fieldConfig"]["defaults"]
    assert (defaults["unit"], defaults["custom"]["thresholdsStyle"]) == ("s", {"mode": "dashed"})
    assert defaults["thresholds"]["steps"][1] == {"color": "red", "value": 9}


def test_states_have_words() -> None:
    _, states = drawn(STATES)
    (mapping,) = states["fieldConfig"]["defaults"]["mappings"]
    assert mapping["options"]["0"] == {"text": "no", "color": "red", "index": 0}


def test_a_panel_leads_to_what_to_do_where_that_is_a_url() -> None:
    _, graph = drawn(GRAPH)
    assert [(link["title"], link["url"]) for link in graph["links"]] == [
        ("Runbook: overload", "https://wiki/finsight_failure_runbook.md#overload")
    ]
    _, without = drawn(GRAPH, runbooks="runbooks")
    assert without["links"] == []


def test_grafana_is_told_where_pages_and_prometheus_are() -> None:
    yaml = YAML(typ="safe")
    (source,) = yaml.load(FILES["datasources/finsight.yaml"])["datasources"]
    (provider,) = yaml.load(FILES["dashboards/finsight.yaml"])["providers"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prom:9090")
    assert "isDefault" not in source, "a Grafana that has a default already would not start"
    assert provider["options"] == {"path": "/etc/grafana/provisioning/dashboards"}


def test_the_core_alone_has_its_three() -> None:
    files = render_grafana(dashboards(), ALERTS, "runbooks", "http://p")
    assert len([name for name in files if name.endswith(".json")]) == 3
