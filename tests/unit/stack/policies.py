"""Strategies: every policy that can be written down, windows included."""

from typing import Any

from hypothesis import strategies as st

from finsight_serve.domain.policy import LONGEST_LEAD_S
from finsight_serve.policy import AutoscalingPolicy, CronHours, ServiceLevel, TradingHours, WeeklyHours, Window

ZONES = st.sampled_from(["America/New_York", "Europe/London", "Asia/Tokyo", "UTC"])
EXCHANGES = st.sampled_from(["XNYS", "XLON", "XTKS"])
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CRONS = st.sampled_from(["0 9 * * *", "30 16 * * 1-5", "0 1 1 * *"])
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=12)


def seconds(*, positive: bool = False) -> st.SearchStrategy[float]:
    return st.floats(0, 1e6, exclude_min=positive, allow_nan=False) | st.integers(1 if positive else 0, 10**6)


def pairs(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(values, values).filter(lambda pair: pair[0] != pair[1])


def clock_times() -> st.SearchStrategy[tuple[str, str]]:
    return pairs(st.times().map(lambda time: time.strftime("%H:%M")))


def hours() -> st.SearchStrategy[dict[str, Any]]:
    zones = st.none() | ZONES
    exchange = st.builds(TradingHours, exchange=EXCHANGES, timezone=zones)
    times = st.builds(
        lambda exchange, zone, pair: TradingHours(exchange=exchange, timezone=zone, start=pair[0], end=pair[1]),
        EXCHANGES,
        zones,
        clock_times(),
    )
    weekly = st.builds(
        lambda zone, pair, days: WeeklyHours(timezone=zone, start=pair[0], end=pair[1], days=tuple(days)),
        ZONES,
        clock_times(),
        st.lists(st.sampled_from(DAYS), min_size=1, unique=True),
    )
    cron = st.builds(lambda zone, pair: CronHours(timezone=zone, start=pair[0], end=pair[1]), ZONES, pairs(CRONS))
    return (
        (exchange | times).map(lambda found: {"calendar": found})
        | weekly.map(lambda found: {"weekly": found})
        | cron.map(lambda found: {"cron": found})
    )


@st.composite
def numbers(draw: st.DrawFn) -> dict[str, Any]:
    floor = draw(st.integers(0, 20))
    ceiling = draw(st.integers(max(floor, 1), 40))
    between = st.integers(floor, ceiling)
    factor = st.none() | seconds(positive=True)
    return {
        "min_replicas": floor,
        "max_replicas": ceiling,
        "target_ongoing_requests": draw(seconds(positive=True)),
        "upscale_delay_s": draw(seconds()),
        "downscale_delay_s": draw(seconds()),
        "smoothing_factor": draw(seconds(positive=True)),
        "upscaling_factor": draw(factor),
        "downscaling_factor": draw(factor),
        "look_back_period_s": draw(seconds(positive=True)),
        "initial_replicas": draw(st.none() | between),
        "on_signal_loss": draw(st.sampled_from(["hold", "floor"]) | between),
    }


@st.composite
def windows(draw: st.DrawFn, floor: int, ceiling: int) -> Window:
    lead = draw(st.just("measured") | st.floats(0, LONGEST_LEAD_S) | st.integers(0, int(LONGEST_LEAD_S)))
    said = {"name": draw(NAMES), "lead_s": lead, **draw(hours())}
    if draw(st.booleans()):
        return Window(policy=AutoscalingPolicy(**draw(numbers())), **said)
    lowered = draw(st.none() | st.integers(max(floor, 1), ceiling))
    raised = draw(st.integers(0, ceiling if lowered is None else lowered))
    return Window(min_replicas=raised, max_replicas=lowered, **said)


@st.composite
def policies(draw: st.DrawFn) -> AutoscalingPolicy:
    said = draw(numbers())
    promise = st.none() | seconds(positive=True)
    slo = draw(st.none() | st.builds(ServiceLevel, p99_wait_s=promise, p99_ttft_s=promise))
    schedule = draw(st.lists(windows(said["min_replicas"], said["max_replicas"]), max_size=3))
    return AutoscalingPolicy(**said, slo=slo, schedule=tuple(schedule))
