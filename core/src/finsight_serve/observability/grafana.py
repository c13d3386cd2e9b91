"""Grafana's own files: dashboards, and what tells it where they and Prometheus are. Pure.

By the schema that Grafana publishes of its version 11.6; a later one brings what it reads up to date itself.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..domain import Alert, Dashboard
from ..domain.dashboard import Row
from .dashboards.asking import FIRING
from .grafana_panel import DATA_SOURCE, Links, panel_json
from .metrics import BUILD_INFO, DEPLOYMENT_INFO, ROUTE_WEIGHT
from .prometheus import SCRAPE_INTERVAL_S, as_yaml, runbook_url

NAME, FOLDER = "finsight", "FinSight"
"""A tag and the first part of addresses; and a folder in Grafana."""
SCHEMA_VERSION = 41
COLUMNS, HEIGHT, LOW, TITLE = 24, 8, 4, 1
"""The grid in which panels stand, in Grafana's units."""
PROVISIONING = "/etc/grafana/provisioning"
"""Where Grafana looks for such files, and where the whole folder is to be mounted."""
RELOAD_S = 30
VARIABLES = {
    "stack": f"label_values({BUILD_INFO.name}, stack)",
    "backend": f'label_values({DEPLOYMENT_INFO.name}{{stack=~"$stack"}}, backend)',
    "deployment": f'label_values({DEPLOYMENT_INFO.name}{{stack=~"$stack"}}, deployment)',
    "tenant": f'label_values({ROUTE_WEIGHT.name}{{stack=~"$stack"}}, tenant)',
}
"""What may be chosen on a page, and where the choices come from."""


def render_grafana(
    found: Iterable[Dashboard], alerts: Sequence[Alert], runbooks: str, prometheus: str
) -> Mapping[str, str]:
    """Relative path → text. `runbooks`: a URL, or there are no links; `prometheus`: its URL, as Grafana reaches it."""
    links = _links(alerts, runbooks) if is_url(runbooks) else {}
    source = {
        "name": FOLDER,
        "uid": NAME,
        "type": "prometheus",
        "access": "proxy",
        "url": prometheus,
        "jsonData": {"timeInterval": f"{SCRAPE_INTERVAL_S}s", "httpMethod": "POST"},
    }
    provider = {
        "name": NAME,
        "folder": FOLDER,
        "type": "file",
        "allowUiUpdates": False,
        "updateIntervalSeconds": RELOAD_S,
        "options": {"path": f"{PROVISIONING}/dashboards"},
    }
    return {
        f"datasources/{NAME}.yaml": as_yaml({"apiVersion": 1, "datasources": [source]}),
        f"dashboards/{NAME}.yaml": as_yaml({"apiVersion": 1, "providers": [provider]}),
        **{
            f"dashboards/{NAME}-{one.name}.json": json.dumps(dashboard_json(one, links), indent=2) + "\n"
            for one in found
        },
    }


def is_url(runbooks: str) -> bool:
    """A folder beside the rules is none, and leads nowhere from a page of Grafana's."""
    return "://" in runbooks


def dashboard_json(dashboard: Dashboard, links: Links) -> Mapping[str, Any]:
    """`links`: of each alert. Raises `KeyError` for an alert that there is not, unless there are no links at all."""
    return {
        "uid": f"{NAME}-{dashboard.name}",
        "title": dashboard.title,
        "tags": [NAME],
        "schemaVersion": SCHEMA_VERSION,
        "timezone": "browser",
        "editable": False,
        "graphTooltip": 1,  # one crosshair for all
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [_to_the_others()],
        "annotations": {"list": [_firing_alerts()]},
        "templating": {"list": [_data_source(), *(_variable(name) for name in variables(dashboard))]},
        "panels": list(_placed(dashboard.rows, links)),
    }


def variables(dashboard: Dashboard) -> tuple[str, ...]:
    """Those that its queries ask for, and the stack by which all of them are told."""
    asked = {name for query in dashboard.queries for name in re.findall(r"\$(\w+)", query.expr)}
    return tuple(name for name in VARIABLES if name in asked | {"stack"})


def _placed(rows: Sequence[Row], links: Links) -> Iterator[Mapping[str, Any]]:
    """From left to right, and on below where a line is full."""
    number = y = 0
    for row in rows:
        number += 1
        place = {"x": 0, "y": y, "w": COLUMNS, "h": TITLE}
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
        x, y, line = 0, y + TITLE, 0
        for panel in row.panels:
            number += 1
            if x + panel.width > COLUMNS:
                x, y, line = 0, y + line, 0
            height = LOW if panel.kind == "number" else HEIGHT
            place = {"x": x, "y": y, "w": panel.width, "h": height}
            yield {"id": number, "gridPos": place, **panel_json(panel, links)}
            x, line = x + panel.width, max(line, height)
        y += line


def _links(alerts: Sequence[Alert], runbooks: str) -> Links:
    return {
        alert.name: (f"Runbook: {alert.runbook.replace('-', ' ')}", runbook_url(runbooks, alert.runbook))
        for alert in alerts
    }


def _to_the_others() -> Mapping[str, Any]:
    return {
        "title": FOLDER,
        "type": "dashboards",
        "icon": "external link",
        "tooltip": "",
        "tags": [NAME],
        "asDropdown": True,
        "targetBlank": False,
        "includeVars": True,
        "keepTime": True,
    }


def _firing_alerts() -> Mapping[str, Any]:
    return {
        "name": "Alerts",
        "datasource": DATA_SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": FIRING,
        "titleFormat": "{{alertname}}",
        "textFormat": "{{deployment}} {{tenant}} {{backend}}",
        "tagKeys": "severity",
    }


def _data_source() -> Mapping[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1}


def _variable(name: str) -> Mapping[str, Any]:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATA_SOURCE,
        "query": VARIABLES[name],
        "refresh": 2,  # also when another time is looked at
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }
