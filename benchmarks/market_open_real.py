"""`python -m benchmarks.market_open_real [-o json]`: nine o'clock on real Ray, without and with MARKET_HOURS.

What `market_open` simulates happens: the same policies, load and replica, by a controller whose clock is set to just
before nine. The simulated engine is as slow, and starts as slowly, as `market_open.REPLICA`. Some ten minutes.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import click
from tests.e2e.clocked_stand import ClockedStand
from tests.e2e.stand import MODEL

from finsight_serve.cli.output import Section, rendered
from finsight_serve.domain import AutoscalingPolicy

from .__main__ import describe
from .load import Target
from .machine import say
from .market_open import BURST_RATE_PER_S, DEFAULT, LATE_S, MARKET_HOURS, REPLICA
from .open_loop import Sent, run_open_loop

TOKENS = 39  # of an answer, evenly over REPLICA.service_s: five a second
BURST_S = PATIENCE_S = 150.0
LEAD_S = 90.0  # from where the clock is set to nine: longer than a cold start
START_S = 300.0
BODY = {"prompt": "now", "max_tokens": TOKENS, "stream": True}
ENGINE = {
    "token_interval_s": REPLICA.service_s / TOKENS,
    "max_num_seqs": REPLICA.max_concurrency,
    "load_s": REPLICA.cold_start_s,
}
CALENDAR = {"exchange": "XNYS", "start": "09:00", "end": "16:00", "timezone": "America/New_York"}
GIVEN = (
    "min_replicas",
    "max_replicas",
    "target_ongoing_requests",
    "upscale_delay_s",
    "downscale_delay_s",
    "smoothing_factor",
)


def given(policy: AutoscalingPolicy) -> dict[str, Any]:
    """As fs.yaml has it."""
    return {name: getattr(policy, name) for name in GIVEN}


WINDOW = {"name": "market-hours", "calendar": CALENDAR, "policy": given(MARKET_HOURS), "lead_s": "measured"}
CASES: Mapping[str, Mapping[str, Any]] = {
    "floor 1 all day": given(DEFAULT),
    "floor 2 from 9:00, ready by then (lead_s: measured)": {**given(DEFAULT), "schedule": [WINDOW]},
}


def measure() -> Iterator[Mapping[str, object]]:
    for name, policy in CASES.items():
        say(name)
        with closing(ClockedStand()) as stand:
            # the bound would refuse what the record's case lets wait
            deployment = {"name": "chat", "model": MODEL, "engine": "sim", "engine_options": ENGINE, "policy": policy}
            stand.write(backend="ray", deployments=[{**deployment, "max_ongoing_requests": 0}])
            stand.set_clock("08:30:00")
            stand.serve(deadline_s=START_S)
            yield {"policy": name, **asyncio.run(_open(stand))}


async def _open(stand: ClockedStand) -> Mapping[str, object]:
    stand.set_clock("09:00:00", before_s=LEAD_S)
    await asyncio.sleep(LEAD_S)
    at_nine = _ready(stand)
    target = Target("chat", stand.url.partition("//")[2], MODEL, stand.keys["default"])
    rates = {"default": BURST_RATE_PER_S}
    tasks = await run_open_loop({"default": target}, rates, BODY, duration_s=BURST_S, patience_s=PATIENCE_S, seed=9)
    return {"ready_at_9": at_nine, **_figures(await asyncio.gather(*tasks)), "ready_after": _ready(stand)}


def _ready(stand: ClockedStand) -> int:
    return sum(replica.state == "ready" for replica in stand.seen().replicas)


def _figures(sent: Sequence[Sent]) -> Mapping[str, object]:
    """Who got no first byte has waited for as long as there was patience."""
    waits_s = sorted(PATIENCE_S if one.ttft_s is None else one.ttft_s for one in sent)
    late_s = [one.at_s for one in sent if one.ttft_s is None or one.ttft_s > LATE_S]
    return {
        "requests": len(sent),
        "not_whole": sum(one.became != "whole" for one in sent),
        "late": round(len(late_s) / len(sent), 3),
        "p99_wait_s": round(waits_s[int(0.99 * (len(sent) - 1))], 1),
        "longest_wait_s": round(waits_s[-1], 1),
        "late_until_s": round(max(late_s, default=0.0)),
    }


@click.command()
@rendered
def main() -> object:
    """Measure how a market open goes on real Ray."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that what was started is ended
    started_s = time.monotonic()
    title = (
        f"market open at 9:00 on real Ray: {BURST_RATE_PER_S:g} requests/s for {BURST_S:g} s, where a replica answers "
        f"{REPLICA.max_concurrency / REPLICA.service_s:.1f} and starts in {REPLICA.cold_start_s:g} s"
    )
    rows = list(measure())
    return [Section(title, rows), Section("about this run", dict(describe(started_s)))]


if __name__ == "__main__":
    main()
