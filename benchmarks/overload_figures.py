"""What `benchmarks.overload` reports, computed from what was sent. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finsight_serve.domain.figures import nearest_rank

from .figures import verdict
from .open_loop import Sent

GOODPUT_GOAL = 0.9
FAIR_GOAL = 0.5
"""Who gets half of what is fairly its own does not starve."""


@dataclass(frozen=True)
class Cell:
    """One load, with or without shedding. `sent` are those of the seconds that count."""

    times: float  # the capacity
    sheds: bool
    sent: Sequence[Sent]
    counted_s: float
    most_waiting: int  # in the engine's queue at any look
    nginx_growth_mib: float
    engine_growth_mib: float
    recovered_s: float  # after the load's end, until an answer begins as on an idle engine


@dataclass(frozen=True)
class OverloadRow:
    load: str
    shedding: str
    offered_per_s: float
    goodput_per_s: float  # whole answers that began within the objective
    of_peak: float
    refused_per_s: float
    given_up_per_s: float
    ttft_p99_s: float | None  # of those that got an answer
    quiet_answered: float  # share of the quiet tenant's requests that were answered well
    worst_tenant: float  # share of what is fairly its own
    most_waiting: int
    nginx_growth_mib: float
    engine_growth_mib: float
    recovered_s: float
    goal: str


def overload_rows(cells: Sequence[Cell], objective_s: float, *, quiet: str) -> list[OverloadRow]:
    """`quiet`: the tenant that asks for little at any load."""
    peak = max(sum(good_by_tenant(cell, objective_s).values()) / cell.counted_s for cell in cells)
    return [_row(cell, objective_s, peak, quiet) for cell in cells]


def good_by_tenant(cell: Cell, objective_s: float) -> Mapping[str, int]:
    good = (one for one in cell.sent if one.became == "whole" and one.ttft_s is not None)
    return Counter(one.tenant for one in good if one.ttft_s is not None and one.ttft_s <= objective_s)


def worst_share(asked: Mapping[str, float], got: Mapping[str, float], whole: float) -> float:
    """The least share that any tenant got of what is fairly its own, were `whole` divided among those who asked."""
    fair = max_min(asked, whole)
    return min((got.get(tenant, 0.0) / fair[tenant] for tenant in asked if fair[tenant]), default=1.0)


def max_min(asked: Mapping[str, float], whole: float) -> Mapping[str, float]:
    """Nobody gets more than was asked; what is left goes in equal parts to those who asked for more."""
    left, fair = whole, dict[str, float]()
    for place, tenant in enumerate(sorted(asked, key=lambda one: asked[one])):
        fair[tenant] = min(asked[tenant], left / (len(asked) - place))
        left -= fair[tenant]
    return fair


def _row(cell: Cell, objective_s: float, peak: float, quiet: str) -> OverloadRow:
    became = Counter(one.became for one in cell.sent)
    good = good_by_tenant(cell, objective_s)
    goodput = sum(good.values()) / cell.counted_s
    of_peak = goodput / peak if peak else 0.0
    waits_s = sorted(one.ttft_s for one in cell.sent if one.ttft_s is not None)
    p99_s = nearest_rank(waits_s, 0.99)
    asked = Counter(one.tenant for one in cell.sent)
    worst = worst_share(asked, good, peak * cell.counted_s)
    goal = ""
    if cell.sheds and cell.times > 1:
        met = verdict(of_peak >= GOODPUT_GOAL), verdict(worst >= FAIR_GOAL)
        goal = f"≥ {GOODPUT_GOAL:.0%} of peak: {met[0]}; every tenant ≥ {FAIR_GOAL:.0%} of its fair share: {met[1]}"
    return OverloadRow(
        f"{cell.times:g}×",
        "on" if cell.sheds else "off",
        round(len(cell.sent) / cell.counted_s, 1),
        round(goodput, 1),
        round(of_peak, 2),
        round(became["refused"] / cell.counted_s, 1),
        round(became["given_up"] / cell.counted_s, 1),
        None if p99_s is None else round(p99_s, 2),
        round(good.get(quiet, 0) / asked[quiet], 2) if asked[quiet] else 1.0,
        round(worst, 2),
        cell.most_waiting,
        round(cell.nginx_growth_mib, 1),
        round(cell.engine_growth_mib, 1),
        round(cell.recovered_s, 1),
        goal,
    )
