"""The market opens at 9:00 and everybody asks: what one cold replica makes of it, and what windows do against it.

In the policy lab, through each backend's control loop as it is; seconds instead of a morning.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from finsight_serve.controller.routing import TIMES_ITS_TARGET
from finsight_serve.domain import AutoscalingPolicy, market_hours
from finsight_serve.host import Host
from finsight_serve.lab.outcome import Outcome
from finsight_serve.lab.service import ServiceModel
from finsight_serve.lab.simulation import simulate
from finsight_serve.lab.trace import Trace

NEW_YORK = ZoneInfo("America/New_York")
EIGHT_S = datetime(2026, 11, 24, 8, tzinfo=NEW_YORK).timestamp()
HOUR_S = 3600.0
BURST_S = 900.0
BURST_RATE_PER_S = 4.0
RATES_PER_S = ((0.0, HOUR_S, 0.2), (HOUR_S, HOUR_S + BURST_S, BURST_RATE_PER_S), (HOUR_S + BURST_S, 2 * HOUR_S, 2.0))
"""From, until (after 8:00), requests a second: 1.6 times what one replica answers, 0.8 of what two do."""
REPLICA = ServiceModel(service_s=7.8, max_concurrency=20, cold_start_s=37.0)
"""As measured of SmolLM2 on four cores: `replica.json` of the example."""
DEFAULT = AutoscalingPolicy(
    min_replicas=1,
    max_replicas=4,
    target_ongoing_requests=10,
    upscale_delay_s=30,
    downscale_delay_s=300,
    smoothing_factor=0.5,
)
MARKET_HOURS = replace(DEFAULT, min_replicas=2, smoothing_factor=1.0)
LATE_S = 1.0
LOOK_S = 16.0
"""After the bell: the slower loop looks every 15 s, and so does who counts what is ready."""
BACKENDS = ("ray", "k8s-keda")
ROOM = int(TIMES_ITS_TARGET * DEFAULT.target_ongoing_requests)
"""What one replica may have in work where shedding is on."""


@dataclass(frozen=True)
class OpeningRow:
    policy: str
    backend: str
    ready_at_9: int  # and a tick of the control loop later
    late: float  # share of the requests of the first quarter of an hour whose work began after more than `LATE_S`
    shed: float  # share that was refused
    p99_wait_s: float  # of those let in
    longest_wait_s: float
    late_until_s: float  # after 9:00: when the last late one came


def windowed(lead_s: float | Literal["measured"]) -> AutoscalingPolicy:
    window = market_hours(
        "XNYS", start="09:00", end="16:00", timezone="America/New_York", policy=MARKET_HOURS, lead_s=lead_s
    )
    return replace(DEFAULT, schedule=(window,))


CASES: dict[str, tuple[AutoscalingPolicy, ServiceModel]] = {
    "floor 1 all day": (DEFAULT, REPLICA),
    f"floor 1 all day, {ROOM} in work at most": (DEFAULT, replace(REPLICA, max_queued=ROOM - REPLICA.max_concurrency)),
    "floor 2 from 9:00, without a lead": (windowed(0.0), REPLICA),
    "floor 2 from 9:00, ready by then (lead_s: measured)": (windowed("measured"), REPLICA),
}


def opening() -> Trace:
    import numpy as np

    draws = np.random.default_rng(9)
    parts = [
        np.sort(draws.uniform(from_s, to_s, draws.poisson(rate_per_s * (to_s - from_s))))
        for from_s, to_s, rate_per_s in RATES_PER_S
    ]
    return Trace("market open", np.concatenate(parts), EIGHT_S, ((0.0, 2 * HOUR_S),))


def measure() -> Iterator[OpeningRow]:
    trace, host = opening(), Host()
    loops = {name: loop for name in BACKENDS if (loop := host.control_loop(name))}
    for policy, (numbers, service) in CASES.items():
        for name, loop in loops.items():
            yield row(policy, name, trace, simulate(numbers, trace, loop, service))


def row(policy: str, backend: str, trace: Trace, outcome: Outcome) -> OpeningRow:
    import numpy as np

    is_early = (trace.arrival_s >= HOUR_S) & (trace.arrival_s < HOUR_S + BURST_S)
    arrival_s, wait_s = trace.arrival_s[is_early], outcome.wait_s[is_early]
    shed, late = wait_s < 0, wait_s > LATE_S
    at_nine = int(np.searchsorted(outcome.series.t_s, HOUR_S + LOOK_S, side="right")) - 1
    return OpeningRow(
        policy,
        backend,
        int(outcome.series.ready[at_nine]),
        round(float(late.mean()), 3),
        round(float(shed.mean()), 3),
        round(float(np.percentile(wait_s[~shed], 99)), 1),
        round(float(wait_s.max()), 1),
        round(float(arrival_s[late].max() - HOUR_S)) if late.any() else 0.0,
    )
