"""The decision, over made-up records; then a whole simulated machine that must converge from anywhere."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from finsight_serve.env import ProcessId
from finsight_serve_local.decision import BACKOFF_MAX_S, Start, decide, due_s
from finsight_serve_local.manifest import Wanted
from finsight_serve_local.record import Record

NOW_S = 1000.0


def wanted(replicas: int, *, argv: str = "new", first_port: int | None = None, evict: str = "") -> Wanted:
    return Wanted("chat", replicas, (argv,), {}, first_port, frozenset(evict.split()))


def record(id: str, *, argv: str = "new", port: int = 0, ready: bool = True, draining: bool = False) -> Record:
    digest = wanted(0, argv=argv).digest
    return Record(id, "chat", port, digest, 0.0, 0, ProcessId(1, 0.0), ready=ready, draining=draining)


def ids(*records: Record) -> set[str]:
    return {record.id for record in records}


def test_missing_ones_start() -> None:
    step = decide(wanted(2), [record("a")], {"a"}, NOW_S)
    assert step.start == (Start(None),) and not step.drain and not step.settled


def test_newest_surplus_goes_but_ready_ones_stay() -> None:
    a, b, c = record("a", ready=False), record("b"), record("c")
    assert decide(wanted(2), [a, b, c], ids(a, b, c), NOW_S).drain == ("a",)
    a = replace(a, ready=True)
    assert decide(wanted(2), [a, b, c], ids(a, b, c), NOW_S).drain == ("c",)


def test_evicted_one_is_replaced_at_once() -> None:
    step = decide(wanted(2, evict="a"), [record("a"), record("b")], {"a", "b"}, NOW_S)
    assert step.drain == ("a",) and step.start == (Start(None),)


def test_successor_is_ready_before_its_predecessor_goes() -> None:
    old, new = record("old", argv="old"), record("new", ready=False)
    assert decide(wanted(1), [old], {"old"}, NOW_S).start == (Start(None),)
    waiting = decide(wanted(1), [old, new], {"old", "new"}, NOW_S)
    assert not waiting.start and not waiting.drain and not waiting.settled
    new = replace(new, ready=True)
    assert decide(wanted(1), [old, new], {"old", "new"}, NOW_S).drain == ("old",)


def test_outdated_one_that_serves_nobody_goes_at_once() -> None:
    old = record("old", argv="old", ready=False)
    assert decide(wanted(1), [old], {"old"}, NOW_S).drain == ("old",)


def test_fixed_port_is_freed_first() -> None:
    old = record("old", argv="old", port=8100)
    assert decide(wanted(1, first_port=8100), [old], {"old"}, NOW_S).drain == ("old",)
    leaving = replace(old, draining=True)
    step = decide(wanted(1, first_port=8100), [leaving], {"old"}, NOW_S)
    assert not step.start and not step.settled
    assert decide(wanted(1, first_port=8100), [leaving], set(), NOW_S).start == (Start(8100),)


def test_dead_one_is_replaced_after_its_backoff() -> None:
    dead = record("dead")
    early = decide(wanted(1), [replace(dead, created_s=NOW_S)], set(), NOW_S)
    assert not early.start and not early.forget and early.settled, "it stays to be seen as failed"
    later = decide(wanted(1), [replace(dead, created_s=NOW_S - 2)], set(), NOW_S)
    assert later.start == (Start(None, attempt=1),) and later.forget == ("dead",)


def test_backoff_doubles_up_to_a_minute_and_ends_with_health() -> None:
    waits = [due_s(replace(record("a"), attempt=attempt)) for attempt in range(9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60] and waits[-1] == BACKOFF_MAX_S
    lived_long = replace(record("a"), attempt=5, created_s=NOW_S - 700)
    assert decide(wanted(1), [lived_long], set(), NOW_S).start == (Start(None, attempt=0),)


def test_crash_of_a_successor_is_told_and_the_predecessor_stays() -> None:
    old, dead = record("old", argv="old"), replace(record("dead"), created_s=NOW_S)
    step = decide(wanted(1), [old, dead], {"old"}, NOW_S)
    assert step.crashed == ("dead",) and not step.drain and not step.start


def test_unwanted_deployment_goes_whole() -> None:
    a, dead = record("a"), record("dead")
    step = decide(Wanted("chat"), [a, dead], {"a"}, NOW_S)
    assert step.drain == ("a",) and step.forget == ("dead",)


machines = st.lists(
    st.builds(
        record,
        st.uuids().map(str),
        argv=st.sampled_from(["new", "old"]),
        port=st.integers(8100, 8104),
        ready=st.booleans(),
        draining=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda r: r.port,
)


@settings(deadline=None)
@given(machines, st.integers(0, 4), st.sampled_from([None, 8100]), st.data())
def test_converges_from_anywhere(
    records: list[Record], count: int, first_port: int | None, data: st.DataObject
) -> None:
    """Exactly the wanted replicas run in the end, and on the way the ready ones never fall below what they could be."""
    want = wanted(count, first_port=first_port)
    alive = {r.id for r in records if data.draw(st.booleans())}
    serving = sum(r.ready and not r.draining for r in records if r.id in alive)
    floor = min(serving, count) if first_port is None else 0
    for turn in range(60):
        step = decide(want, records, alive, NOW_S)
        if step.settled:
            break
        records = [replace(r, draining=r.draining or r.id in step.drain) for r in records if r.id not in step.forget]
        gone = {r.id for r in records if r.draining and r.id in alive}
        started = [
            replace(record(f"s{turn}-{i}", ready=False), port=start.port or 9000 + 10 * turn + i)
            for i, start in enumerate(step.start)
        ]
        ports = [r.port for r in [*records, *started] if r.id in alive or r in started]
        assert len(ports) == len(set(ports)), "two replicas on one port"
        ready_now = sum(r.ready and not r.draining for r in records if r.id in alive)
        assert ready_now >= floor, "a successor was not waited for"
        records = [replace(r, ready=True) for r in records if not (r.draining and r.id in gone)] + started
        alive = {r.id for r in records if r.id in alive} - gone | {r.id for r in started}
    assert step.settled
    running = [r for r in records if r.id in alive and not r.draining]
    assert len(running) == count and all(want.describes(r) for r in running)
