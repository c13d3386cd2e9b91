"""What a killed drill has left: its processes, found and ended by their ids, and its folder."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from finsight_serve.drill import family, folder
from finsight_serve.drill.waiting import wait_until
from finsight_serve.testing.real_env import find_free_port

# the sleeps are the other processes' lives: they are killed, which the tests are about, long before
SLEEPER = "import time\nprint('up', flush=True)\ntime.sleep(600)"
FORKER = """
import os, socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
for _ in range(2):
    if os.fork() == 0:
        break
time.sleep(600)
"""


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    top = Path(tempfile.mkdtemp(prefix="fs-", dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(top))
    yield top
    shutil.rmtree(top, ignore_errors=True)


def start(*argv: str, mark: Path | None = None) -> "subprocess.Popen[bytes]":
    env = {**os.environ, **({family.MARK: str(mark)} if mark else {})}
    process = subprocess.Popen(
        [sys.executable, "-c", *argv], env=env, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True
    )
    return process


def test_marked_processes_end_with_their_folder_and_others_do_not(place: Path) -> None:
    left = folder.make()
    (left / folder.MAKER).write_text('{"pid": 1, "started_s": 1.0}')
    ours, hung, other = start(SLEEPER, mark=left), start(SLEEPER, mark=left), start(SLEEPER)
    try:
        for one in (ours, hung, other):
            assert one.stdout and one.stdout.readline() == b"up\n"
        psutil.Process(hung.pid).suspend()
        assert {one.pid for one in family.members(left)} == {ours.pid, hung.pid}
        assert list(folder.left_behind()) == [left]
        assert len(folder.remove(left)) == 2
        assert not left.exists() and not family.is_running(ours.pid) and not family.is_running(hung.pid)
        assert other.poll() is None
    finally:
        for one in (ours, hung, other):
            one.kill()
            one.wait(10)


def test_what_was_started_by_one_that_is_being_ended_is_ended_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left, end = folder.make(), family.end
    started = [start(SLEEPER, mark=left)]

    def end_late(processes: list[psutil.Process]) -> None:
        if len(started) == 1:
            started.append(start(SLEEPER, mark=left))
        end(processes)

    monkeypatch.setattr(family, "end", end_late)
    try:
        assert len(folder.remove(left)) == 2
        assert not left.exists() and not any(family.is_running(one.pid) for one in started)
    finally:
        for one in started:
            one.kill()
            one.wait(10)


def test_a_master_comes_before_its_workers() -> None:
    port = find_free_port()
    master = start(FORKER, str(port))
    try:
        wait_until(lambda: family.listeners(port), 60, "it listens")
        wait_until(lambda: len(family.with_kin(family.listeners(port)[0])) == 3, 60, "both workers are there")
        kin = family.with_kin(family.listeners(port)[0])
        assert kin[0].pid == master.pid
        family.end(kin)
        assert family.listeners(port) == [] and not family.is_running(master.pid)
    finally:
        master.kill()
        master.wait(10)
