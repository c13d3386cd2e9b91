"""`fs simulate`: what a policy would have cost and what users would have waited, on recorded load."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .lab_options import (
    Numbers,
    ServiceChoice,
    TraceChoice,
    choose_loops,
    policy_option,
    service_options,
    trace_options,
)
from .options import check_writable
from .output import Section, render

if TYPE_CHECKING:
    from ..lab.comparison import Comparison

QUIET_S = 2.0
ALL = {"all", "both"}


@click.command(short_help="Run a policy over recorded load, without starting anything")
@policy_option
@trace_options(required=True)
@click.option("--days", type=Numbers(), metavar="N,…", help="Only these days of the trace, from 0; each where it is.")
@service_options
@click.option(
    "--max-queued",
    type=click.IntRange(0),
    metavar="N",
    help="Requests that may wait at a time; others are shed. [default: any]",
)
@click.option("--token-s", type=click.FloatRange(min=0, min_open=True), help="Seconds per output token of the trace.")
@click.option("--prefill-s", type=click.FloatRange(min=0), help="With --token-s: seconds to the first token.")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    metavar="NAME",
    help="Through its control loop; may be given again. [default: all that have one]",
)
@click.option(
    "--assert",
    "assertions",
    multiple=True,
    metavar="LIMIT",
    help="As 'p99_wait_s<=1'; exit with 1 where it fails on a backend. May be given again.",
)
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a page with plots (HTML)."
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print it.")
@click.pass_context
def simulate(
    context: click.Context,
    reference: str,
    trace: TraceChoice,
    days: tuple[int, ...] | None,
    service: ServiceChoice,
    max_queued: int | None,
    token_s: float | None,
    prefill_s: float | None,
    backends: tuple[str, ...],
    assertions: tuple[str, ...],
    report: Path | None,
    output: str,
) -> None:
    """Run one policy over one trace through each backend's control loop as it really is. Starts and changes nothing.

    Waits are from a request's arrival until work on it begins. The bound is what the load must cost at least, for who
    knows it beforehand: the same floor, ceiling and cold start, and the p99 wait of the policy's slo (its own, where it
    has none).
    """
    from dataclasses import replace

    from ..host import Host
    from ..lab.comparison import FIGURES, compare
    from ..lab.limits import parse_limit
    from ..stack import read_policy

    limits = [parse_limit(one, FIGURES) for one in assertions]
    policy = read_policy(reference, Path())
    loops = choose_loops(Host(), tuple(name for name in backends if name not in ALL))
    if report is not None:
        check_report(report)
    model, _ = service.read()
    more: dict[str, Any] = {"max_queued": max_queued, "token_s": token_s, "prefill_s": prefill_s}
    model = replace(model, **{name: value for name, value in more.items() if value is not None})
    load = trace.read(days)
    found = compare(policy, load, loops, model, Progress())
    if report is not None:
        from ..lab.report import write_report

        write_report(report, policy, load, model, found)
    click.echo(render(_sections(found, load.name), output))
    broken = found.broken(limits)
    for line in broken:
        click.echo(f"fs: {line}", err=True)
    if broken:
        context.exit(1)


def check_report(path: Path) -> None:
    """Before minutes are spent on what can't be written. Raises `UserError`."""
    from ..lab.extra import load

    for library in ("jinja2", "matplotlib"):
        load(library)
    check_writable(path)


class Progress:
    """A word on stderr now and then, once it takes longer than `QUIET_S`."""

    def __init__(self) -> None:
        self._word_s = time.monotonic() + QUIET_S

    def __call__(self, what: str, share: float) -> None:
        if time.monotonic() >= self._word_s:
            self._word_s = time.monotonic() + QUIET_S
            click.echo(f"{what}: {share:.0%}" if share else f"{what}…", err=True)


def _sections(found: "Comparison", name: str) -> list[Section]:
    rows = []
    for backend, bound in found.bounds.items():
        figures = {key: _plain(value) for key, value in found.figures(backend).items()}
        head = {"backend": backend, "replica_hours": figures.pop("replica_hours")}
        bounds = {"bound_hours": _plain(bound.replica_hours), "attained_hours": _plain(bound.attained_hours)}
        rows.append({**head, **bounds, **figures})
    agreements = [
        {"backends": " and ".join(pair), "share_of_seconds": round(share, 5)}
        for pair, share in found.agreements.items()
    ]
    outcome = next(iter(found.outcomes.values()))
    about = {"name": name, "hours": outcome.hours, "requests": outcome.requests}
    sections = [Section("trace", about), Section("backends", rows)]
    return [*sections, Section("agreement", agreements)] if agreements else sections


def _plain(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else round(value, 4)
