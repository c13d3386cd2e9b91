"""Five tenants' market hours, replayed; each is moved from Ray to plain processes and back while all are under load.

The client's ledger and ours are compared row by row. FS_REPLAY_REPORT names a file for the figures; with
FS_REPLAY_ENGINE=vllm the real model answers, at a speed that two copies of it on one CPU can hold.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from finsight_serve.domain.migration import Migration

from .conftest import RAY_OPTIONS
from .faults import LEDGER_S, is_well, ledger_rows, whole_ledger
from .moving import DESTINATION, SOURCE, migrate_all, migrations, wait_over
from .replay import Replay, stretch
from .stand import MODEL, Stand
from .waiting import wait_until

TENANTS = ("equities", "fixed-income", "currencies", "commodities", "risk")
FROM_HOUR, HOURS = 13.0, 2.0  # a stretch in which all five ask
ENGINE = os.environ.get("FS_REPLAY_ENGINE", "sim")
SIM = {"engine": "sim", "model": MODEL, "engine_options": {"token_interval_s": 0.02}}
VLLM_OPTIONS = {"max_model_len": 512, "gpu_memory_utilization": 0.1}
VLLM = {"engine": "vllm", "model": "smollm2", "engine_options": VLLM_OPTIONS}
SERVED, SPEED, TOKENS = {"sim": (SIM, 20.0, 24), "vllm": (VLLM, 5.0, 8)}[ENGINE]
OPTIONS = ("--steps", "10,50,100", "--hold", "1s", "--min-requests", "3", "--limit", "error_rate<=0.1%")
ALL_S = 240.0 if ENGINE == "sim" else 900.0


@pytest.fixture
def five_tenants() -> Iterator[Stand]:
    if not find_spec("ray"):
        pytest.skip("ray is not installed")
    with closing(Stand("five")) as stand:
        fixed = {"policy": {"min_replicas": 1, "max_replicas": 1}}
        stand.write(
            backend="ray",
            backends={"ray": {"orchestrator": "ray", **RAY_OPTIONS}, "local": {"orchestrator": "local"}},
            deployments=[
                {"name": SOURCE, **SERVED, **fixed},
                {"name": DESTINATION, "backend": "local", **SERVED, **fixed},
            ],
            tenants=[{"name": name, "deployment": SOURCE} for name in TENANTS],
        )
        stand.serve(deadline_s=400)
        wait_until(lambda: is_well(stand.live(), 2), 120, "both deployments are well")
        yield stand


@pytest.mark.long
def test_each_tenant_is_moved_there_and_back_and_nothing_is_lost(five_tenants: Stand) -> None:
    stand = five_tenants
    arrivals = stretch(TENANTS, from_hour=FROM_HOUR, hours=HOURS, speed=SPEED)
    began_s = time.monotonic()
    with Replay(f"{stand.url}/v1", stand.keys, str(SERVED["model"]), arrivals, tokens=TOKENS) as replay:
        wait_until(lambda: all(replay.count(tenant) for tenant in TENANTS), 60, "all tenants ask")
        moved = []
        for to in (DESTINATION, SOURCE):
            ids = migrate_all(stand, TENANTS, to, *OPTIONS)
            moved += [wait_over(stand, id, ALL_S) for id in ids]
            assert {migration.phase for migration in moved} == {"done"}, [migration.reason for migration in moved]
        assert not replay.is_over, "all moves were made under load"
    took_s = time.monotonic() - began_s
    whole = [one for one in replay.asked if one.answer.outcome == "whole"]
    assert len(whole) == len(replay.asked), [one.answer.why for one in replay.asked if one.answer.outcome != "whole"]
    asked = {one.answer.request_id: one.tenant for one in replay.asked}
    assert len(asked) == len(replay.asked) and "" not in asked
    wait_until(lambda: ledger_rows(stand.state, asked), LEDGER_S, "the ledger has a row for every request")
    rows = whole_ledger(stand.state)
    assert {id: (tenant, "complete", 200) for id, tenant in asked.items()} == {
        id: (row["tenant"], row["outcome"], row["status"]) for id, row in rows.items()
    }
    report(stand, rows, moved, took_s)


def report(stand: Stand, rows: dict[str, dict[str, Any]], moved: list[Migration], took_s: float) -> None:
    at = Counter((row["tenant"], row["deployment"]) for row in rows.values())
    lines = [
        {
            "tenant": tenant,
            "requests": sum(row["tenant"] == tenant for row in rows.values()),
            "at the source": at[tenant, SOURCE],
            "at the destination": at[tenant, DESTINATION],
            "failed": sum(row["tenant"] == tenant and row["outcome"] == "failed" for row in rows.values()),
            "truncated": sum(row["tenant"] == tenant and row["outcome"] == "truncated" for row in rows.values()),
        }
        for tenant in TENANTS
    ]
    assert all(line["at the source"] and line["at the destination"] for line in lines)
    assert {migration.phase for migration in migrations(stand).values()} == {"done"}
    print(json.dumps(lines, indent=1), f"{len(moved)} migrations in {took_s:.0f} s")
    if path := os.environ.get("FS_REPLAY_REPORT"):
        Path(path).write_text(
            json.dumps({"tenants": lines, "migrations": len(moved), "took_s": round(took_s)}, indent=1)
        )
