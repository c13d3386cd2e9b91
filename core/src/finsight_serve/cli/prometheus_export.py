"""`fs plan -o prometheus`: what a Prometheus needs to scrape this stack and to watch over it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..controller.assembly import build_parts
from ..errors import UserError
from ..host import Host
from ..observability.alerts import alerts
from ..observability.metrics import LOAD_BALANCER
from ..observability.prometheus import Found, render
from ..observability.recording import recordings
from ..stack import Stack
from .options import say_nothing
from .stored import folder_or_scratch


def export_for_prometheus(
    file: Path, stack: Stack, folder: Path, host: Host
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """File name → text, and notes for people. Looks at nothing that runs.

    Raises `UserError` where the controller can't be scraped.
    """
    if not stack.metrics.listen:
        raise UserError(
            f"{file}: metrics.listen says nowhere, so Prometheus would find nothing; add, for example, "
            '`metrics: {listen: "127.0.0.1:9464"}`, and start `fs serve` anew'
        )
    with folder_or_scratch(folder) as place:
        parts = build_parts(stack, {}, host, place, "", say_nothing)
        plugins: Mapping[str, object] = {**parts.orchestrators, LOAD_BALANCER: parts.load_balancer}
        jobs = {name: tuple(plugin.scrape_jobs()) for name, plugin in plugins.items() if hasattr(plugin, "scrape_jobs")}
    found = [Found(job, {"backend": name}) for name, of_plugin in jobs.items() for job in of_plugin]
    watched = dict.fromkeys(alert for plugin in plugins.values() for alert in getattr(plugin, "alerts", ()))
    files = render(
        stack.name, stack.metrics.listen, found, recordings(), alerts(tuple(watched)), stack.metrics.runbooks
    )
    return files, tuple(_notes(jobs))


def _notes(jobs: Mapping[str, Sequence[object]]) -> Iterator[str]:
    for name, of_plugin in jobs.items():
        if not of_plugin:
            yield (
                f"{name.replace('_', ' ')} tells of no place to scrape: its options name none, or its port is not "
                "known before the first start; do this again then"
            )
