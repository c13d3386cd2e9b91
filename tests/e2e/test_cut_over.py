"""The decision record's two policies on real Ray: cut over at the market's edges under a steady load of streams."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from .clocked_stand import ClockedStand
from .faults import is_well
from .load import Load
from .stand import Stand
from .waiting import wait_until

RECORD = Path(__file__).parents[2] / "examples/finsight/serving"
MARKET_HOURS = {
    "name": "market-hours",
    "calendar": {"exchange": "XNYS", "start": "09:00", "end": "16:00", "timezone": "America/New_York"},
    "policy": "serving.autoscaling_policy:MARKET_HOURS_AUTOSCALING",
}
POLICY = {"from": "serving.autoscaling_policy:DEFAULT_AUTOSCALING", "schedule": [MARKET_HOURS]}
LEAD_S = 3.0  # from where the clock is set to the edge


@pytest.fixture
def stand() -> Iterator[ClockedStand]:
    if not find_spec("ray"):
        pytest.skip("ray is not installed")
    with closing(ClockedStand()) as stand:
        shutil.copytree(RECORD, stand.folder / "serving")
        stand.write(
            backend="ray",
            backends={"ray": {"orchestrator": "ray", "drain_timeout_s": 20}},
            deployments=[
                {
                    "name": "chat",
                    "model": "sim-model",
                    "engine": "sim",
                    "engine_options": {"token_interval_s": 0.05},
                    "policy": POLICY,
                }
            ],
        )
        yield stand


def test_default_and_market_hours_cut_over_at_the_edges(stand: ClockedStand) -> None:
    stand.set_clock("08:30:00")
    stand.serve(deadline_s=300)
    wait_until(lambda: is_well(stand.live(), 1), 120, "one replica is ready")
    first = stand.replicas()
    with stand.load(workers=4, tokens=40) as load:
        stream(load)
        stand.set_clock("09:00:00", before_s=LEAD_S)
        wait_until(lambda: len(stand.cut_overs()) == 1, 60, "the cut-over at nine")
        wait_until(lambda: is_well(stand.live(), 2), 120, "two replicas are ready")
        assert first.items() <= stand.replicas().items()
        assert plan_keeps_everything(stand)

        both = stand.replicas()
        stream(load)
        stand.set_clock("16:00:00", before_s=LEAD_S)
        wait_until(lambda: len(stand.cut_overs()) == 2, 60, "the cut-over at four")
        wait_until(lambda: plan_keeps_everything(stand), 60, "the numbers of the evening are in force on Ray")
        stream(load)
        assert stand.replicas() == both
    assert [answer.why for answer in load.not_whole()] == []
    opened, closed = stand.cut_overs()
    assert opened == "min_replicas 1 → 2, smoothing_factor 0.5 → 1.0: market-hours opens"
    assert closed == "min_replicas 2 → 1, smoothing_factor 1.0 → 0.5: market-hours closes"


def stream(load: Load) -> None:
    """The load goes on for some rounds from here."""
    seen = load.count("whole")
    wait_until(lambda: load.count("whole") >= seen + 8, 60, "streams end whole")


def plan_keeps_everything(stand: Stand) -> bool:
    """What Serve says that it runs is what the policy of now compiles to."""
    plan = json.loads(stand.fs("plan", "-o", "json").stdout)
    return {change["action"] for change in plan["changes"]} == {"keep"}
