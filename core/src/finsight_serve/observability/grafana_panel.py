"""One panel in Grafana's words. Pure."""

from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from ..domain.dashboard import Health, Panel, Query, Step, Unit

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
UNITS: Mapping[Unit, str] = {
    "count": "short",
    "ratio": "percentunit",
    "seconds": "s",
    "bytes": "bytes",
    "requests/s": "reqps",
    "tokens/s": "cps",
}
TYPES = {"graph": "timeseries", "number": "stat", "states": "state-timeline", "table": "table"}
COLOURS: Mapping[Health, str] = {"ok": "green", "warning": "orange", "critical": "red"}
DASHED = [
    {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}},
    {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 8]}},
    {"id": "custom.fillOpacity", "value": 0},
    {"id": "custom.stacking", "value": {"mode": "none"}},
]
LEGEND = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
TOOLTIP = {"mode": "multi", "sort": "desc"}

Links = Mapping[str, tuple[str, str]]
"""Alert → title and URL of what to do."""


def panel_json(panel: Panel, links: Links) -> Mapping[str, Any]:
    """All but its number and its place."""
    where = dict.fromkeys(links[name] for name in panel.alerts) if links else {}
    watched = f" Watched by {', '.join(panel.alerts)}." if panel.alerts else ""
    return {
        "type": TYPES[panel.kind],
        "title": panel.title,
        "description": panel.says + watched,
        "datasource": DATA_SOURCE,
        "links": [_link(title, url) for title, url in where],
        "targets": [_target(panel, query, ref) for query, ref in zip(panel.queries, ascii_uppercase, strict=False)],
        "fieldConfig": {"defaults": _field(panel), "overrides": _bounds(panel)},
        **_drawing(panel),
    }


def _target(panel: Panel, query: Query, ref: str) -> Mapping[str, Any]:
    once = panel.kind == "table"
    return {
        "refId": ref,
        "datasource": DATA_SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": once,
        "range": not once,
        "format": "table" if once else "time_series",
        "editorMode": "code",
    }


def _field(panel: Panel) -> Mapping[str, Any]:
    steps = panel.steps or (Step("ok"),)
    lines = panel.kind == "graph" and panel.steps
    field: dict[str, Any] = {
        "unit": UNITS[panel.unit],
        "color": {"mode": "palette-classic" if panel.kind == "graph" else "thresholds"},
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": COLOURS[step.health], "value": step.at} for step in steps],
        },
        "links": [],
    }
    if panel.states:
        meanings = {
            str(value): {"text": state.text, "color": COLOURS[state.health], "index": value}
            for value, state in enumerate(panel.states)
        }
        field["mappings"] = [{"type": "value", "options": meanings}]
    if panel.kind == "graph":
        field["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 30 if panel.stacked else 5,
            "showPoints": "auto",
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if lines else "off"},
        }
    return field


def _bounds(panel: Panel) -> list[Mapping[str, Any]]:
    refs = zip(panel.queries, ascii_uppercase, strict=False)
    return [
        {"matcher": {"id": "byFrameRefID", "options": ref}, "properties": DASHED}
        for query, ref in refs
        if query.is_bound
    ]


def _drawing(panel: Panel) -> Mapping[str, Any]:
    if panel.kind == "graph":
        return {"options": {"legend": LEGEND, "tooltip": TOOLTIP}}
    if panel.kind == "states":
        timeline = {"showValue": "auto", "rowHeight": 0.9, "mergeValues": True}
        return {"options": {**timeline, "legend": LEGEND, "tooltip": TOOLTIP}}
    if panel.kind == "table":
        (query,) = panel.queries
        tidy = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": {"Value": query.legend}}
        transformations = [{"id": "organize", "options": tidy}]
        return {"options": {"showHeader": True, "cellHeight": "sm"}, "transformations": transformations}
    newest = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    return {"options": {"reduceOptions": newest, "graphMode": "area", "colorMode": "value", "textMode": "auto"}}


def _link(title: str, url: str) -> Mapping[str, Any]:
    return {
        "title": title,
        "type": "link",
        "icon": "",
        "tooltip": "",
        "url": url,
        "tags": [],
        "asDropdown": False,
        "targetBlank": True,
        "includeVars": False,
        "keepTime": False,
    }
