"""A load balancer without keys comes behind the one that clients talk to, and a tenant is moved through both."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from finsight_serve.testing.real_env import find_free_port

from ..unit.foreign import Foreign
from .blue_green import DESTINATION, SOURCE, deployment
from .faults import LEDGER_S, ledger_rows, whole_ledger
from .moving import migrate, wait_over
from .stand import Stand
from .waiting import wait_until

ROOT = Path(__file__).parents[2]
STEPS = ("--steps", "50,100", "--hold", "2s", "--limit", "error_rate<=0%")  # a busy machine is slow, which is no matter


class StandWithAnother(Stand):
    """With `plain-nginx` installed beside what this environment has."""

    def __init__(self) -> None:
        super().__init__()
        plugins = self.folder / "plugins"
        plugins.mkdir()
        foreign = Foreign(plugins)
        foreign.install("finsight-plain-nginx", {"load_balancer": {"plain-nginx": "tests.plain_nginx"}}, {})

    @property
    def env(self) -> dict[str, str]:
        path = os.pathsep.join((str(self.folder / "plugins"), str(ROOT)))
        return {**super().env, "PYTHONPATH": path}


@pytest.fixture
def stand() -> Iterator[StandWithAnother]:
    with closing(StandWithAnother()) as stand:
        yield stand


def write(stand: Stand, *, behind: int | None = None) -> None:
    both = [deployment(SOURCE), deployment(DESTINATION)]
    edge = {"plugin": "nginx", "listen": f"127.0.0.1:{stand.port}"}
    if behind is None:
        stand.write(deployments=both)
    else:
        plain = {"plugin": "plain-nginx", "listen": f"127.0.0.1:{behind}"}
        stand.write(deployments=both, edge=edge, load_balancer=plain)


def test_it_comes_behind_under_load_and_a_tenant_is_moved_through_both(stand: StandWithAnother) -> None:
    write(stand)
    first = stand.serve()
    master = stand.nginx().pid
    with stand.load(workers=6, tokens=10) as load:
        wait_until(lambda: load.count("whole") > 6, 60, "the load runs")
        first.process.send_signal(signal.SIGTERM)
        assert first.wait_ended() == 0, first.output
        write(stand, behind=find_free_port())
        stand.serve()
        assert stand.nginx().pid == master
        seen = load.count("whole")
        wait_until(lambda: load.count("whole") > seen + 6, 60, "answers come through both")
        moved = wait_over(stand, migrate(stand, "default", DESTINATION, *STEPS))
        assert (moved.phase, moved.proof) == ("done", ""), "all that was open at its source has ended"
        seen = load.count("whole")
        wait_until(lambda: load.count("whole") > seen + 6, 60, "answers come from where it was moved to")
    assert [answer.why for answer in load.not_whole()] == []
    ids = [answer.request_id for answer in sorted(load.answers, key=lambda answer: answer.began_s)]
    wait_until(lambda: ledger_rows(stand.state, ids), LEDGER_S, "a row for each answer")
    rows = [whole_ledger(stand.state)[id] for id in ids]
    assert {row["outcome"] for row in rows} == {"complete"}
    assert {row["deployment"] for row in rows} == {SOURCE, DESTINATION}
    assert {row["deployment"] for row in rows[-3:]} == {DESTINATION}


def test_it_leaves_under_load_and_nothing_of_it_stays(stand: StandWithAnother) -> None:
    behind = find_free_port()
    write(stand, behind=behind)
    first = stand.serve()
    with stand.load(workers=6, tokens=10) as load:
        wait_until(lambda: load.count("whole") > 6, 60, "answers come through both")
        first.process.send_signal(signal.SIGTERM)
        assert first.wait_ended() == 0, first.output
        assert is_open(behind), "it lives on without a controller"
        write(stand)
        second = stand.serve()
        wait_until(lambda: "applied  behind_edge/plain-nginx  emptied" in second.output, 60, "it is told to end")
        assert not is_open(behind)
        seen = load.count("whole")
        wait_until(lambda: load.count("whole") > seen + 6, 60, "answers come from the edge alone")
    assert [answer.why for answer in load.not_whole()] == []


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_without_an_edge_it_is_refused_in_one_line(stand: StandWithAnother) -> None:
    stand.write(load_balancer={"plugin": "plain-nginx", "listen": "127.0.0.1:1"})
    done = stand.fs("plan")
    assert done.returncode == 2
    why = "plain-nginx has no API keys (it goes by the tenant header alone): add `edge: nginx`"
    assert [line for line in done.stderr.splitlines() if line.endswith(f" load_balancer: {why}")], done.stderr
