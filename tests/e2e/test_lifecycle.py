"""A stack's life as `fs serve` and `fs down` lead it: begun, adopted, drained, ended; and what is left of it."""

import signal

import pytest

from finsight_serve.controller.client import Client
from finsight_serve.controller.facts import StopAsked

from .stand import Stand
from .waiting import wait_until

SLOW = {"token_interval_s": 0.05}


def test_ctrl_c_lets_open_streams_end_and_leaves_nothing(stand: Stand) -> None:
    stand.write(replicas=2, engine_options=SLOW)
    serving = stand.serve()
    with stand.load(workers=4, tokens=60, rounds=1) as load:
        wait_until(lambda: load.streaming == 4, 60, "four streams have begun")
        stand.family.members()
        serving.process.send_signal(signal.SIGINT)
        load.join()
    assert [answer.why for answer in load.not_whole()] == []
    assert serving.wait_ended() == 0, serving.output
    stand.assert_nothing_runs()


def test_the_next_serve_adopts_what_a_sigterm_left_and_no_request_fails(stand: Stand) -> None:
    stand.write(replicas=2, engine_options=SLOW)
    first = stand.serve()
    wait_until(lambda: len(stand.replicas()) == 2, 60, "two replicas")
    replicas, master = stand.replicas(), stand.nginx().pid
    with stand.load(workers=6, tokens=20) as load:
        wait_until(lambda: load.count("whole") > 6, 60, "the load runs")
        first.process.send_signal(signal.SIGTERM)
        assert first.wait_ended() == 0, first.output
        seen = load.count("whole")
        wait_until(lambda: load.count("whole") > seen + 6, 60, "traffic goes on without a controller")
        status = stand.status()
        assert status["stack"]["controller"] == "not running"
        second = stand.serve()
        seen = load.count("whole")
        wait_until(lambda: load.count("whole") > seen + 6, 60, "traffic goes on with the next one")
        assert stand.replicas() == replicas
        assert stand.nginx().pid == master
    assert [answer.why for answer in load.not_whole()] == []
    assert "(tenant default;" not in second.output, "an old key holds, so none is made"
    assert "as shown before" in second.output


def test_detached_it_runs_until_down(stand: Stand) -> None:
    stand.write(replicas=1)
    done = stand.fs("serve", "--detach")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Ready in ") == 1 and done.stdout.count("curl -N ") == 1
    stand.note_keys(done.stdout)
    assert stand.client().models.list().data
    log = stand.fs("logs", "controller")
    assert log.returncode == 0 and "replica_ready" in log.stdout
    assert stand.keys["default"] not in log.stdout

    down = stand.fs("down")
    assert (down.returncode, down.stderr) == (0, "")
    assert down.stdout.splitlines()[-1] == "Down."
    stand.assert_nothing_runs()
    again = stand.fs("down")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "Down.")


def test_down_removes_what_a_controller_left(stand: Stand) -> None:
    stand.write(replicas=1)
    serving = stand.serve()
    stand.family.members()
    serving.process.send_signal(signal.SIGTERM)
    serving.wait_ended()
    assert stand.client().models.list().data
    down = stand.fs("down")
    assert down.returncode == 0, down.stderr
    stand.assert_nothing_runs()


def test_a_second_serve_is_refused_and_changes_nothing(stand: Stand) -> None:
    stand.write(replicas=1)
    serving = stand.serve()
    replicas = stand.replicas()
    second = stand.fs("serve")
    assert second.returncode == 2
    assert second.stderr == f"fs: {stand.state}: a controller already runs on this state (pid {serving.process.pid})\n"
    assert second.stdout == ""
    assert serving.process.poll() is None and stand.replicas() == replicas


def test_a_changed_file_is_taken_up_by_the_next_serve(stand: Stand) -> None:
    stand.write(replicas=1, engine_options={"output_tokens": 3})
    first = stand.serve()
    first.process.send_signal(signal.SIGTERM)
    first.wait_ended()
    before = stand.fs("plan", "-o", "json")
    stand.write(replicas=2, engine_options={"output_tokens": 3})
    assert stand.fs("plan", "-o", "json").stdout != before.stdout
    stand.serve()
    wait_until(lambda: len(stand.replicas()) == 2, 60, "two replicas")


def test_an_engine_that_dies_while_loading_ends_the_first_serve(stand: Stand) -> None:
    stand.write(replicas=2, engine_options={"load_s": 0.5, "fail_load": "tensor layer.7 is missing"})
    serving = stand.start()
    assert serving.wait_ended() == 1, serving.output
    last = [line for line in serving.output.splitlines() if line.startswith("fs: ")]
    assert last and "deployment chat does not start" in last[0], serving.output
    assert "tensor layer.7 is missing" in serving.output
    assert "Traceback" not in serving.output
    stand.assert_nothing_runs()


def test_detached_an_engine_that_dies_while_loading_is_told_too(stand: Stand) -> None:
    stand.write(replicas=1, engine_options={"fail_load": "tensor layer.7 is missing"})
    done = stand.fs("serve", "--detach")
    assert done.returncode == 1
    assert "tensor layer.7 is missing" in done.stdout + done.stderr
    stand.assert_nothing_runs()


@pytest.mark.parametrize("tenants", [1, 2])
def test_every_tenant_gets_a_key_of_its_own(stand: Stand, tenants: int) -> None:
    names = ["red", "blue"][:tenants]
    stand.write(tenants=[{"name": name, "deployment": "chat"} for name in names])
    stand.serve()
    assert sorted(stand.keys) == sorted(names)
    assert all(stand.client(name).models.list().data for name in names)


def test_a_first_start_that_is_interrupted_has_shown_its_keys(stand: Stand) -> None:
    stand.write(engine_options={"load_s": 60})
    serving = stand.start()
    wait_until(lambda: "replica_starting" in serving.output, 60, "the replica loads")
    serving.process.send_signal(signal.SIGINT)
    assert serving.wait_ended() == 0
    assert "  Key    fs-" in serving.output and "Ready" not in serving.output
    stand.assert_nothing_runs()


def test_asked_to_stop_twice_it_stops(stand: Stand) -> None:
    stand.write()
    stand.serve()
    stop = StopAsked(keep=frozenset())
    assert Client(stand.state).intend(stop)
    Client(stand.state).intend(stop)  # nobody may be there to hear it any more
    assert stand.fs("down").returncode == 0
    stand.assert_nothing_runs()
