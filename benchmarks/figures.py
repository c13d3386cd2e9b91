"""What is reported, computed from what was measured. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from .generator import Rate
from .load import Loop

TTFT_GOAL_MS = 1.0
STREAMS_GOAL = 0.95
PROXY_GOAL = 4.0
COMMAND_GOAL_MS = 150.0


@dataclass(frozen=True)
class StreamRow:
    model: str
    connections: int
    path: str
    streams: int
    failed: int
    ttft_p50_ms: float
    over_bare_ms: float
    ttft_ratio: float
    streams_per_s: float
    rate_ratio: float  # to the bare engine's
    goal: str


@dataclass(frozen=True)
class RateRow:
    path: str
    requests_per_s: float
    failed: int
    client_cores: float | None
    whole_path_ratio: float  # requests/s of the whole path to this one's
    goal: str


@dataclass(frozen=True)
class CommandRow:
    command: str
    runs: int
    median_ms: float
    fastest_ms: float
    over_python_ms: float  # over the median of `python -c pass`
    goal: str


def stream_rows(model: str, connections: int, runs: dict[str, list[list[Loop]]], *, with_goal: bool) -> list[StreamRow]:
    """`runs`: path → its runs, the bare engine's first."""
    bare: StreamRow | None = None
    rows = []
    for path, of_path in runs.items():
        answers = [answer for run in of_path for loop in run for answer in loop.answers]
        good = [answer for answer in answers if answer.good]
        ttft_ms = median(answer.ttft_s for answer in good) * 1000
        rate = sum(loop.rate_per_s for run in of_path for loop in run) / len(of_path)
        first = bare is None
        over_ms, ttft_ratio = (0.0, 1.0) if bare is None else (ttft_ms - bare.ttft_p50_ms, ttft_ms / bare.ttft_p50_ms)
        rate_ratio = 1.0 if bare is None else rate / bare.streams_per_s
        goal = ""
        if with_goal and not first:
            met = verdict(over_ms <= TTFT_GOAL_MS), verdict(rate_ratio >= STREAMS_GOAL)
            goal = f"p50 ≤ bare + {TTFT_GOAL_MS:g} ms: {met[0]}; ≥ {STREAMS_GOAL:g} × streams/s: {met[1]}"
        row = StreamRow(
            model,
            connections,
            path,
            len(good),
            len(answers) - len(good),
            round(ttft_ms, 2),
            round(over_ms, 2),
            round(ttft_ratio, 3),
            round(rate, 2),
            round(rate_ratio, 3),
            goal,
        )
        bare = bare or row
        rows.append(row)
    return rows


def rate_rows(runs: dict[str, list[Rate]], *, whole_path: str, default_proxy: str) -> list[RateRow]:
    rates = {path: median(rate.requests_per_s for rate in of_path) for path, of_path in runs.items()}
    rows = []
    for path, of_path in runs.items():
        ratio = rates[whole_path] / rates[path]
        cores = [rate.client_cores for rate in of_path if rate.client_cores is not None]
        goal = (
            f"≥ {PROXY_GOAL:g} × Ray's default proxy: {verdict(ratio >= PROXY_GOAL)}" if path == default_proxy else ""
        )
        rows.append(
            RateRow(
                path,
                round(rates[path], 1),
                sum(rate.failed for rate in of_path),
                round(median(cores), 2) if cores else None,
                round(ratio, 2),
                goal,
            )
        )
    return rows


def command_rows(walls_s: dict[str, Sequence[float]], *, baseline: str) -> list[CommandRow]:
    zero_ms = median(walls_s[baseline]) * 1000
    rows = []
    for command, walls in walls_s.items():
        middle_ms = median(walls) * 1000
        goal = f"< {COMMAND_GOAL_MS:g} ms: {verdict(middle_ms < COMMAND_GOAL_MS)}" if command != baseline else ""
        rows.append(
            CommandRow(
                command,
                len(walls),
                round(middle_ms, 1),
                round(min(walls) * 1000, 1),
                round(middle_ms - zero_ms, 1),
                goal,
            )
        )
    return rows


def verdict(met: bool) -> str:
    return "met" if met else "missed"
