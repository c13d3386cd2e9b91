"""`fs apply`: numbers are changed live, after a diff; what is more than a number is refused, and nothing changes."""

import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest

from ..terminal import NO, answer
from .stand import Stand
from .waiting import wait_until


@pytest.fixture(scope="module")
def served() -> Iterator[Stand]:
    with closing(Stand()) as stand:
        stand.write(replicas=1)
        stand.serve()
        yield stand


@pytest.fixture
def serving(served: Stand) -> Stand:
    """One replica runs, and the file says so."""
    served.write(replicas=1)
    assert served.fs("apply", "--yes").returncode == 0
    wait_until(lambda: len(served.replicas()) == 1, 60, "one replica")
    return served


def test_a_policy_is_changed_live_and_no_replica_is_replaced(serving: Stand) -> None:
    before = serving.replicas()
    serving.write(replicas=2, health={"period_s": 0.5})
    with serving.load(workers=2, tokens=20) as load:
        wait_until(lambda: load.count("whole") > 2, 60, "the load runs")
        done = serving.fs("apply", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        wait_until(lambda: len(serving.replicas()) == 2, 60, "two replicas")
    assert [answer.why for answer in load.not_whole()] == []
    assert before.items() <= serving.replicas().items()
    assert "deployments.chat.policy.min_replicas: 1 → 2" in done.stdout
    assert "health.period_s: 1.0 → 0.5" in done.stdout
    assert done.stdout.splitlines()[-1] == "Applied."
    assert ("policy_changed", "chat") in {(event.kind, event.subject) for event in serving.seen().events}


def test_nothing_to_change(serving: Stand) -> None:
    done = serving.fs("apply")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Nothing to change: what runs is as {serving.file} says.\n"


def test_without_a_terminal_it_wants_to_be_told(serving: Stand) -> None:
    serving.write(replicas=2)
    done = serving.fs("apply")
    assert_refused(serving, done, "nobody can be asked here: `fs apply --yes` applies it without a question")


def test_who_says_no_has_changed_nothing(serving: Stand) -> None:
    serving.write(replicas=2)
    done = answer(NO, serving.argv("apply"), serving.env)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "min_replicas: 1 → 2" in done.stdout and "Apply it?" not in done.stdout
    assert done.stderr == "Apply it? [y/N]: Nothing was changed.\n"
    assert serving.seen().deployments[0].min_replicas == 1


def test_what_is_more_than_a_number_is_refused(serving: Stand) -> None:
    serving.write(replicas=2, engine_options={"output_tokens": 3})
    done = serving.fs("apply", "--yes")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"fs: {serving.file}: deployments.chat.engine.options.output_tokens: none → 3; that needs")
    assert serving.seen().deployments[0].min_replicas == 1


def test_a_bad_file_changes_nothing(serving: Stand) -> None:
    text = serving.file.read_text()
    serving.file.write_text(text.replace("min_replicas: 1", "min_replicas: 9"))
    assert_refused(serving, serving.fs("apply", "--yes"), "must be at least min_replicas (9), found 1")


def test_where_no_controller_runs_it_says_what_does(stand: Stand) -> None:
    stand.write()
    done = stand.fs("apply", "--yes")
    assert done.returncode == 2 and "start with `fs serve`" in done.stderr
    assert not stand.state.exists()
    stand.serve()
    stand.down()
    done = stand.fs("apply", "--yes")
    assert done.returncode == 2
    assert done.stderr.startswith(f"fs: {stand.state}: no controller runs here; `fs serve` starts one")


def assert_refused(stand: Stand, done: "subprocess.CompletedProcess[str]", why: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert why in line
    assert stand.seen().deployments[0].min_replicas == 1
