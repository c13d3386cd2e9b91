"""nginx run by a keeper, as in a container of its own: the controller starts nothing and sees only the folder."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import psutil
import pytest

from finsight_serve.env import ProcessId
from finsight_serve.plugin import ApplyError, Plan
from finsight_serve.testing.waiting import snapshot_when, wait_for
from finsight_serve_nginx import server
from finsight_serve_nginx.kept import SOCKET_NAME, Kept

from .edge import Edge, route
from .upstream import Held, completion, says

pytestmark = pytest.mark.anyio
ENDED_S = 60


@contextmanager
def keeper(state_dir: Path) -> Iterator["subprocess.Popen[bytes]"]:
    argv = [sys.executable, "-m", "finsight_serve_nginx.keeper", str(state_dir)]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(ENDED_S)


@pytest.fixture
async def kept(state_dir: Path) -> AsyncIterator[Edge]:
    edge = Edge(state_dir, kept_at="127.0.0.1")
    yield edge
    await edge.close()


def start_of(edge: Edge) -> ProcessId:
    master = edge.family().master
    assert master is not None
    return master


async def test_it_starts_reloads_and_stops_what_the_keeper_runs(kept: Edge, state_dir: Path) -> None:
    await kept.upstream(says(200, completion()))
    with keeper(state_dir) as process:
        await kept.apply()
        master = start_of(kept)
        assert psutil.Process(master.pid).ppid() == process.pid, "the keeper's child, not ours"
        old = kept.workers()
        await kept.apply(route(limit=3))
        assert start_of(kept) == master and kept.workers().isdisjoint(old), "reloaded, not started again"
        assert (await kept.get()).status_code == 200
        seen = await snapshot_when(kept.plugin, lambda seen: bool(seen.in_force))
        assert seen.in_force == kept.plan(route(limit=3)).artefacts
        await kept.plugin.apply(Plan(()))
        assert process.wait(ENDED_S) == 0
    assert kept.family().members == ()
    with keeper(state_dir) as process:  # as a restart policy does
        await wait_for(Kept(state_dir).is_there)
        assert kept.family().members == (), "what was taken down stays down"


async def test_it_comes_back_with_the_configuration_in_force_and_without_the_controller(
    kept: Edge, state_dir: Path
) -> None:
    await kept.upstream(says(200, completion()))
    with keeper(state_dir) as process:
        await kept.apply()
        for member in kept.family().members:
            psutil.Process(member.pid).kill()
        assert process.wait(ENDED_S) == 128 + signal.SIGKILL
    await snapshot_when(kept.plugin, lambda seen: seen.in_force == ())
    with keeper(state_dir):
        await snapshot_when(kept.plugin, lambda seen: seen.in_force == kept.plan().artefacts)
        assert (await kept.get()).status_code == 200


async def test_told_to_end_it_lets_a_stream_end_whole(kept: Edge, state_dir: Path) -> None:
    held = Held()
    await kept.upstream(held)
    with keeper(state_dir) as process:
        await kept.apply()
        async with kept.stream() as answer:
            body = answer.aiter_raw()
            first = await anext(body)
            process.send_signal(signal.SIGTERM)
            await wait_for(lambda: not kept.workers())
            held.go.set()
            rest = b"".join([part async for part in body])
        assert b"first" in first and b"[DONE]" in rest
        assert process.wait(ENDED_S) == 0


async def test_open_requests_are_healed_only_of_workers_that_are_gone(kept: Edge, state_dir: Path) -> None:
    await kept.upstream(Held())
    with keeper(state_dir):
        await kept.apply()
        async with kept.stream() as answer:
            body = answer.aiter_raw()  # held: the stream ends with its reader
            await anext(body)
            await snapshot_when(kept.plugin, lambda seen: seen.open_streams == {("desk", "chat"): 1})
            for pid in kept.workers():
                psutil.Process(pid).kill()
            await snapshot_when(kept.plugin, lambda seen: seen.open_streams == {})
        (row,) = await kept.rows(1)
        assert row.outcome == "unknown"


async def test_without_a_keeper_it_says_who_is_missing(
    kept: Edge, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "TAKE_UP_S", 0.3)
    with pytest.raises(ApplyError, match=r"nobody keeps nginx in .*: run `python -m finsight_serve_nginx.keeper`"):
        await kept.apply()
    assert kept.family().members == ()


async def test_only_nginx_is_told_anything_and_only_what_it_knows(kept: Edge, state_dir: Path) -> None:
    asker = Kept(state_dir)
    with keeper(state_dir) as process:
        await kept.apply()
        me = ProcessId(process.pid, psutil.Process(process.pid).create_time())
        asker.tell(me, signal.SIGKILL)
        with pytest.raises(OSError, match="hung up"):
            asker._ask("tell", start_of(kept).pid, start_of(kept).started_s, "SIGSTOP")
        with anyio.move_on_after(0.3):
            await anyio.to_thread.run_sync(process.wait, abandon_on_cancel=True)
        assert process.poll() is None and asker.alive(start_of(kept))
        assert (state_dir / SOCKET_NAME).stat().st_mode & 0o077 == 0
