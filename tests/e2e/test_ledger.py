"""The clients' ledger and ours, joined by request id, across what rotates and what is killed."""

import csv
import json
from pathlib import Path

import httpx
import pytest

from .faults import LEDGER_S, wait_for_traffic
from .load import Load
from .stand import MODEL, Stand
from .waiting import wait_until

SAME = {"whole": "complete", "truncated": "truncated", "failed": "failed"}
"""The client's word → the ledger's."""
TRUNCATED = 3  # of each kind: enough to be seen, and too few for the breaker
HUNG_UP = 4


def set_faults(stand: Stand, address: str, **faults: object) -> None:
    headers = {"Authorization": f"Bearer {stand.replica_key()}"}
    httpx.post(f"http://{address}/sim/faults", json=faults, headers=headers, trust_env=False).raise_for_status()


def truncate_some(stand: Stand, load: Load, kind: str) -> None:
    """By one of the replicas, for as long as it takes."""
    address = sorted(stand.replicas().values())[0]
    seen = load.count("truncated")
    set_faults(stand, address, truncate_after_tokens=5, truncation=kind)
    wait_until(lambda: load.count("truncated") >= seen + TRUNCATED, 60, f"{kind} answers", poll_s=0.02)
    set_faults(stand, address)


def hang_up(stand: Stand) -> str:
    """The id of a stream whose client leaves after its first token."""
    with stand.client() as client:
        stream = client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "a long one"}], max_tokens=2000, stream=True
        )
        next(iter(stream))
        stream.close()
        return stream.response.headers["x-request-id"]


def rename_log(stand: Stand) -> Path:
    """The first half of a rotation, as one who died in the middle of it leaves it: nginx writes on in that file."""
    folder = stand.state / "load_balancer" / "ledger"
    rotated = folder / f"{len(list(folder.glob('*.log'))):08d}.log"
    (folder / "current.log").rename(rotated)
    return folder / "current.log"


def exported(stand: Stand, *ids: str) -> dict[str, dict[str, str]]:
    """The ledger's rows by id, once it has those."""
    file = stand.folder / "rows.csv"

    def rows() -> dict[str, dict[str, str]]:
        done = stand.fs("ledger", "--export", str(file))
        assert done.returncode == 0, done.stderr
        with file.open(newline="") as lines:
            found = list(csv.DictReader(lines))
        assert len({row["id"] for row in found}) == len(found), "a request has two rows"
        by_id = {row["id"]: row for row in found}
        return by_id if set(ids) <= set(by_id) else {}

    return wait_until(rows, LEDGER_S, "the ledger has a row for every request")


def test_clients_and_ledger_agree_row_by_row_across_rotations_and_a_kill(stand: Stand) -> None:
    stand.write(replicas=2, engine_options={"token_interval_s": 0.02})
    serving = stand.serve()
    wait_until(lambda: len(stand.replicas()) == 2, 60, "two replicas")
    with stand.load(workers=4, tokens=20) as load:
        wait_for_traffic(load, 8)
        truncate_some(stand, load, "broken")
        current = rename_log(stand)
        wait_until(lambda: current.exists() and current.stat().st_size, 60, "nginx writes in a new file")
        wait_for_traffic(load, 8)
        hung_up = {hang_up(stand) for _ in range(HUNG_UP)}

        stand.family.members()
        serving.process.kill()
        serving.process.wait()
        wait_for_traffic(load, 8)
        rename_log(stand)
        wait_for_traffic(load, 8)
        assert not current.exists(), "nobody is there to finish the rotation"
        stand.serve()
        wait_until(lambda: current.exists() and current.stat().st_size, 60, "the next one finishes it")
        truncate_some(stand, load, "silent")
        wait_for_traffic(load, 8)

    seen = {answer.request_id: SAME[answer.outcome] for answer in load.answers} | dict.fromkeys(
        hung_up, "client_closed"
    )
    assert load.count("failed") == 0, load.not_whole()
    assert load.count("truncated") >= 2 * TRUNCATED
    rows = exported(stand, *seen)
    assert {id: row["outcome"] for id, row in rows.items()} == seen
    assert {(row["tenant"], row["deployment"]) for row in rows.values()} == {("default", "chat")}

    shown = stand.fs("ledger", "default", "-o", "json")
    (total,) = json.loads(shown.stdout)
    outcomes = list(seen.values())
    assert total["requests"] == len(seen)
    for name in ("complete", "truncated", "client_closed", "failed", "unknown"):
        assert total[name] == outcomes.count(name), name


def test_it_is_read_and_exported_without_a_controller_too(stand: Stand) -> None:
    pytest.importorskip("fastparquet")
    stand.write()
    stand.serve()
    with stand.load(workers=2, tokens=5, rounds=3) as load:
        load.join()
    exported(stand, *(answer.request_id for answer in load.answers))
    assert stand.down().returncode == 0
    file = stand.folder / "rows.parquet"
    done = stand.fs("ledger", "default", "--since", "1h", "--export", str(file))
    assert (done.returncode, done.stderr) == (0, f"Wrote 6 requests to {file}.\n")

    from fastparquet import ParquetFile

    with file.open("rb") as opened:
        frame = ParquetFile(opened).to_pandas()
    assert set(frame["id"]) == {answer.request_id for answer in load.answers}
    assert set(frame["outcome"]) == {"complete"}
    assert (frame["sent_bytes"].fillna(0) >= 0).all() and (frame["ended"] >= frame["started"]).all()

    unknown = stand.fs("ledger", "defualt")
    assert unknown.returncode == 2
    assert unknown.stderr == "fs: defualt: no tenant or migration of this name; did you mean default?\n"
