"""What `benchmarks.tenants` reports, computed from what was measured. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from .figures import verdict
from .generator import Rate

OVER_NONE_GOAL_MS = 0.1
SLOW_PEER_GOAL = 150.0
FLAT_P50_GOAL, FLAT_RATE_GOAL = 1.1, 0.9
RELOAD_GOAL_S = 2.0
NEIGHBOUR_GOAL = 1.5


@dataclass(frozen=True)
class Cell:
    """One contender, one number of connections, one round."""

    rate: Rate
    cpu_us: float  # CPU time per request of the router's own processes
    helper_cpu_us: float = 0.0  # of what works beside them


@dataclass(frozen=True)
class RouterRow:
    connections: int
    router: str
    p50_ms: float | None
    over_none_ms: float | None
    p99_ms: float | None
    requests_per_s: float | None
    ours_ratio: float | None  # requests/s of ours to this one's
    cpu_us_per_request: float | None
    beside_us_per_request: float | None  # CPU time of the ledger's reader
    failed: int
    goal: str  # of ours, against this one; or why it was not measured


@dataclass(frozen=True)
class SizeRow:
    tenants: int
    p50_ms: float | None
    p50_ratio: float | None  # to the smallest table's
    requests_per_s: float
    rate_ratio: float
    cpu_us_per_request: float
    render_s: float
    reload_s: float  # from the rendered files to all workers following them
    failed: int
    goal: str


@dataclass(frozen=True)
class NeighbourRow:
    tenant_a: str  # what A does meanwhile
    streams: int  # of B
    failed: int
    ttft_p50_ms: float
    ttft_p99_ms: float
    p99_ratio: float  # to B alone
    a_served_per_s: float
    a_refused_per_s: float
    goal: str


@dataclass(frozen=True)
class Meanwhile:
    """One situation: B's times to first token and what A got."""

    ttft_s: Sequence[float]
    failed: int
    a_served_per_s: float = 0.0
    a_refused_per_s: float = 0.0


def router_rows(
    cells: Mapping[tuple[str, int], Sequence[Cell]],
    absent: Mapping[str, str],
    *,
    none: str,
    ours: str,
    fast: Sequence[str],
    slow: str,
) -> list[RouterRow]:
    """`fast`: peers to be beaten on both counts; `slow`: the one to be beaten by far."""
    rows = []
    for connections in sorted({connections for _, connections in cells}):
        p50 = {name: _p50_ms(of_one) for (name, number), of_one in cells.items() if number == connections}
        rates = {name: _rate(of_one) for (name, number), of_one in cells.items() if number == connections}
        for name in p50:
            of_one = cells[name, connections]
            rows.append(
                RouterRow(
                    connections,
                    name,
                    _rounded(p50[name], 3),
                    _rounded(_minus(p50[name], p50[none]), 3),
                    _rounded(_middle([cell.rate.p99_ms for cell in of_one]), 3),
                    round(rates[name]),
                    round(rates[ours] / rates[name], 2) if rates[name] else None,
                    round(median(cell.cpu_us for cell in of_one), 1),
                    round(median(cell.helper_cpu_us for cell in of_one), 1),
                    sum(cell.rate.failed for cell in of_one),
                    _router_goal(name, connections, p50, rates, none=none, ours=ours, fast=fast, slow=slow),
                )
            )
        for name, why in absent.items():
            rows.append(RouterRow(connections, name, None, None, None, None, None, None, None, 0, why))
    return rows


def _router_goal(
    name: str,
    connections: int,
    p50: Mapping[str, float | None],
    rates: Mapping[str, float],
    *,
    none: str,
    ours: str,
    fast: Sequence[str],
    slow: str,
) -> str:
    single = connections == 1
    over, mine, theirs = _minus(p50[ours], p50[none]), p50[ours], p50[name]
    if name == none and single and over is not None:
        return f"ours ≤ {OVER_NONE_GOAL_MS:g} ms more: {verdict(over <= OVER_NONE_GOAL_MS)}"
    if name in fast and single and mine is not None and theirs is not None:
        return f"ours below its p50: {verdict(mine < theirs)}"
    if name in fast and not single:
        return f"ours no fewer requests/s: {verdict(rates[ours] >= rates[name])}"
    if name == slow and not single:
        return f"ours ≥ {SLOW_PEER_GOAL:g} × its requests/s: {verdict(rates[ours] >= SLOW_PEER_GOAL * rates[name])}"
    return ""


def size_rows(
    cells: Mapping[tuple[str, int], Sequence[Cell]], took_s: Mapping[int, tuple[float, float]]
) -> list[SizeRow]:
    """`cells`: (number of tenants as text, connections) → rounds; `took_s`: number → seconds to render and reload."""
    rows: list[SizeRow] = []
    for tenants, (render_s, reload_s) in took_s.items():
        single, many = cells[str(tenants), 1], cells[str(tenants), 32]
        first = rows[0] if rows else None
        p50, rate = _p50_ms(single), _rate(many)
        p50_ratio = p50 / first.p50_ms if p50 and first and first.p50_ms else 1.0
        rate_ratio = rate / first.requests_per_s if first else 1.0
        goals = []
        if first:
            met = verdict(p50_ratio <= FLAT_P50_GOAL and rate_ratio >= FLAT_RATE_GOAL)
            goals.append(f"p50 ≤ {FLAT_P50_GOAL:g} × and requests/s ≥ {FLAT_RATE_GOAL:g} × the first row's: {met}")
        if tenants == max(took_s):
            met = verdict(render_s + reload_s < RELOAD_GOAL_S)
            goals.append(f"rendered and reloaded in < {RELOAD_GOAL_S:g} s: {met}")
        rows.append(
            SizeRow(
                tenants,
                _rounded(p50, 3),
                round(p50_ratio, 2),
                round(rate),
                round(rate_ratio, 2),
                round(median(cell.cpu_us for cell in many), 1),
                round(render_s, 2),
                round(reload_s, 2),
                sum(cell.rate.failed for cell in (*single, *many)),
                "; ".join(goals),
            )
        )
    return rows


def neighbour_rows(situations: Mapping[str, Meanwhile], *, limited: str) -> list[NeighbourRow]:
    """B alone first."""
    rows: list[NeighbourRow] = []
    for name, seen in situations.items():
        p99_ms = quantiles(seen.ttft_s, n=100, method="inclusive")[98] * 1000
        ratio = p99_ms / rows[0].ttft_p99_ms if rows else 1.0
        goal = f"p99 ≤ {NEIGHBOUR_GOAL:g} × alone: {verdict(ratio <= NEIGHBOUR_GOAL)}" if name == limited else ""
        rows.append(
            NeighbourRow(
                name,
                len(seen.ttft_s),
                seen.failed,
                round(median(seen.ttft_s) * 1000, 1),
                round(p99_ms, 1),
                round(ratio, 2),
                round(seen.a_served_per_s, 1),
                round(seen.a_refused_per_s, 1),
                goal,
            )
        )
    return rows


def _rate(cells: Sequence[Cell]) -> float:
    return median(cell.rate.requests_per_s for cell in cells)


def _p50_ms(cells: Sequence[Cell]) -> float | None:
    return _middle([cell.rate.p50_ms for cell in cells])


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _minus(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else left - right


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
