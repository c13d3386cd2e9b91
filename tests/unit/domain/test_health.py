from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.domain.health import SIGNS_OF_LOAD, HealthRules, ReplicaHealth, choose_evictions, judge

VERDICTS = st.sampled_from(["ok", "refused", "timeout", "saturated", "wrong"])
RULES = HealthRules()


def after(*tries: tuple[str, bool]) -> ReplicaHealth:
    health = ReplicaHealth()
    for number, (verdict, moved) in enumerate(tries):
        health = judge(health, verdict, tokens_moved=moved, now_s=float(number))
    return health


def test_two_failures_in_a_row_evict() -> None:
    one, two = after(("timeout", False)), after(("timeout", False), ("refused", False))
    assert choose_evictions(["a"], {"a": one}, (), RULES) == frozenset()
    assert choose_evictions(["a"], {"a": two}, (), RULES) == {"a"}


def test_a_good_answer_clears_the_count() -> None:
    assert after(("timeout", False), ("ok", False), ("timeout", False)).failures == 1


def test_busy_is_not_dead() -> None:
    busy = after(*[("timeout", True)] * 10)
    assert busy.busy and busy.failures == 0


def test_load_excuses_neither_a_refusal_nor_a_wrong_answer() -> None:
    assert after(("wrong", True), ("refused", True)).failures == 2


def test_an_excused_failure_does_not_clear_earlier_ones() -> None:
    assert after(("timeout", False), ("timeout", True)).failures == 1


def test_the_last_replica_is_not_protected() -> None:
    dead = after(("wrong", False), ("wrong", False))
    assert choose_evictions(["only"], {"only": dead}, (), RULES) == {"only"}


def test_a_fault_of_all_replicas_takes_one_at_a_time() -> None:
    dead = after(("wrong", False), ("wrong", False))
    ids = ["a", "b", "c"]
    first = choose_evictions(ids, dict.fromkeys(ids, dead), (), RULES)
    assert first == {"a"}
    assert choose_evictions(ids, dict.fromkeys(ids, dead), first, RULES) == frozenset()


@given(st.lists(st.tuples(VERDICTS, st.booleans()), max_size=30))
def test_failures_are_the_counted_ones_since_the_last_good_answer(tries: list[tuple[str, bool]]) -> None:
    expected = 0
    for verdict, moved in tries:
        if verdict == "ok":
            expected = 0
        elif not (moved and verdict in SIGNS_OF_LOAD):
            expected += 1
    assert after(*tries).failures == expected


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 5), min_size=1),
    st.floats(0.0, 1.0),
    st.sets(st.sampled_from("abcdefgh")),
)
def test_no_more_than_the_share_but_always_one_leave_at_once(
    failures: dict[str, int], share: float, leaving: set[str]
) -> None:
    rules = HealthRules(max_evicting_share=share)
    health = {name: ReplicaHealth("timeout", failures=count) for name, count in failures.items()}
    leaving &= set(failures)
    chosen = choose_evictions(list(failures), health, leaving, rules)
    assert all(failures[name] >= rules.failures_before_eviction for name in chosen)
    assert not chosen & leaving
    assert len(chosen | leaving) <= max(len(leaving), 1, share * len(failures))
    if not leaving and max(failures.values()) >= rules.failures_before_eviction:
        assert chosen
