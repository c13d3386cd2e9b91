"""`fs plan -o grafana`: dashboards of this stack, and what tells a Grafana where they and Prometheus are."""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from ..controller.assembly import build_engine, build_parts
from ..host import Host
from ..observability.alerts import alerts
from ..observability.dashboards import dashboards
from ..observability.grafana import PROVISIONING, is_url, render_grafana
from ..stack import Stack
from .options import say_nothing
from .stored import folder_or_scratch


def export_for_grafana(stack: Stack, folder: Path, host: Host) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Relative path → text, and notes for people. Looks at nothing that runs."""
    with folder_or_scratch(folder) as place:
        parts = build_parts(stack, {}, host, place, "", say_nothing)
        engines = [build_engine(deployment, host, place, say_nothing) for deployment in stack.deployments]
    plugins: list[object] = [*parts.orchestrators.values(), parts.load_balancer, *engines]
    watched = dict.fromkeys(chain.from_iterable(getattr(plugin, "alerts", ()) for plugin in plugins))
    drawn = dict.fromkeys(chain.from_iterable(getattr(plugin, "dashboards", ()) for plugin in plugins))
    files = render_grafana(dashboards(drawn), alerts(tuple(watched)), stack.metrics.runbooks, stack.metrics.prometheus)
    return files, tuple(_notes(stack))


def _notes(stack: Stack) -> Iterator[str]:
    yield f"mount the folder at {PROVISIONING}; Grafana reaches Prometheus at {stack.metrics.prometheus}"
    if not is_url(stack.metrics.runbooks):
        yield "panels have no links to the runbook: metrics.runbooks is no URL"
