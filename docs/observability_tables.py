"""`python docs/observability_tables.py`: the tables of docs/observability.md, from what renders Prometheus' files."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from finsight_serve.observability.alerts import alerts
from finsight_serve.observability.dashboards import dashboards
from finsight_serve.observability.metrics import METRICS
from finsight_serve.observability.recording import recordings
from finsight_serve_nginx.dashboard import DASHBOARD as OF_NGINX_PAGE
from finsight_serve_nginx.monitoring import ALERTS as OF_NGINX
from finsight_serve_ray.dashboard import DASHBOARD as OF_RAY_PAGE
from finsight_serve_ray.monitoring import ALERTS as OF_RAY
from finsight_serve_vllm.dashboard import DASHBOARD as OF_VLLM_PAGE

PAGE = Path(__file__).parent / "observability.md"


def metrics() -> Iterator[tuple[str, ...]]:
    yield "metric", "type", "labels", "series at most", "what it says"
    for one in METRICS:
        name = f"{one.name}_total" if one.kind == "counter" else one.name
        labels = ", ".join(f"`{label}`" for label in one.labels)
        yield f"`{name}`", one.kind, labels, one.series, one.help


def watched() -> Iterator[tuple[str, ...]]:
    yield "alert", "severity", "after", "it fires where", "runbook"
    for one in alerts((*OF_NGINX, *OF_RAY)):
        expr = one.expr.replace("|", "\\|")
        yield f"`{one.name}`", one.severity, f"{one.for_s} s" if one.for_s else "at once", f"`{expr}`", one.runbook


def recorded() -> Iterator[tuple[str, ...]]:
    yield "rule", "expression"
    for one in recordings():
        yield f"`{one.name}`", f"`{one.expr}`".replace("|", "\\|")


def drawn() -> Iterator[tuple[str, ...]]:
    yield "dashboard", "panels"
    for one in dashboards((OF_NGINX_PAGE, OF_RAY_PAGE, OF_VLLM_PAGE)):
        yield one.title, ". ".join(f"{row.title}: {', '.join(panel.title for panel in row.panels)}" for row in one.rows)


TABLES: Mapping[str, Callable[[], Iterator[tuple[str, ...]]]] = {
    "metrics": metrics,
    "alerts": watched,
    "recording": recorded,
    "dashboards": drawn,
}


def table(rows: Iterator[tuple[str, ...]]) -> str:
    head, *body = rows
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *body))


def block(name: str) -> "re.Pattern[str]":
    return re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)


def made(page: str) -> str:
    """The page with its tables as they should be."""
    for name, rows in TABLES.items():
        stands = block(name).search(page)
        assert stands, f"the page has no place for {name}"
        page = f"{page[: stands.start()]}\n{table(rows())}\n\n{page[stands.end() :]}"
    return page


if __name__ == "__main__":
    PAGE.write_text(made(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
