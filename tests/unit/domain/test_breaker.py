from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from finsight_serve.domain.breaker import Breaker, BreakerRules, judge, open_for_s
from finsight_serve.domain.figures import Figures

RULES = BreakerRules()
BEGIN_S = 1000.0
STORED = TypeAdapter(Breaker)


def figures(good: int = 0, bad: int = 0, *, in_a_row: int = 0, ttft_s: float | None = None, since_s: float) -> Figures:
    return Figures(good + bad, bad, failures_in_a_row=in_a_row, ttft_p95_s=ttft_s, since_s=since_s)


def look(
    breaker: Breaker,
    seen: Figures | None = None,
    *,
    ok: int = 2,
    failing: int = 0,
    now_s: float,
    rules: BreakerRules = RULES,
) -> Breaker:
    return judge(breaker, rules, seen, replicas_ok=ok, replicas_failing=failing, now_s=now_s)


def opened(openings: int = 1) -> Breaker:
    return Breaker("open", BEGIN_S, openings, "why")


def tried(openings: int = 1) -> Breaker:
    return Breaker("half_open", BEGIN_S, openings, "why")


def closed_with(seen: Figures | None, rules: BreakerRules = RULES) -> Breaker:
    return look(Breaker(), seen, now_s=BEGIN_S, rules=rules)


def test_it_opens_from_the_error_rate_on_with_enough_requests() -> None:
    since_s = BEGIN_S - 30
    assert closed_with(figures(11, 9, since_s=since_s)).state == "closed"
    assert closed_with(figures(9, 10, since_s=since_s)).state == "closed"  # 19 requests say nothing
    assert closed_with(figures(10, 10, since_s=since_s)) == Breaker(
        "open", BEGIN_S, 1, "10 of 20 requests in 30 s failed or broke off (50 %, limit 50 %); open for 30 s"
    )


def test_answers_that_broke_off_count_as_failures() -> None:
    seen = Figures(requests=20, failed=4, truncated=6, since_s=BEGIN_S - 30)
    assert "10 of 20" in closed_with(seen).reason


def test_it_opens_on_failures_in_a_row_however_few_were_asked() -> None:
    assert closed_with(figures(0, 9, in_a_row=9, since_s=0)).state == "closed"
    assert (
        closed_with(figures(0, 10, in_a_row=10, since_s=0)).reason
        == "10 requests in a row failed or broke off (limit 10); open for 30 s"
    )


def test_it_opens_on_slow_first_tokens_only_where_a_limit_is_given() -> None:
    slow = figures(20, ttft_s=2.5, since_s=BEGIN_S - 12)
    rules = BreakerRules(ttft_p95_s=2)
    assert closed_with(slow).state == "closed"
    assert (
        closed_with(slow, rules).reason
        == "time to first token p95 is 2.5 s of 20 requests in 12 s (limit 2 s); open for 30 s"
    )
    assert closed_with(replace(slow, requests=19), rules).state == "closed"
    assert closed_with(replace(slow, ttft_p95_s=2.0), rules).state == "closed"


def test_a_deployment_that_hangs_opens_it_though_every_client_has_given_up() -> None:
    hanging = Figures(0, ttft_p95_s=30.0, given_up=20, since_s=BEGIN_S - 12)
    opens = closed_with(hanging, BreakerRules(ttft_p95_s=2))
    assert opens.state == "open"
    assert opens.reason.startswith("time to first token p95 is 30 s of 20 requests in 12 s (limit 2 s)")
    assert closed_with(replace(hanging, given_up=19), BreakerRules(ttft_p95_s=2)).state == "closed"
    assert closed_with(hanging, BreakerRules()).state == "closed"


def test_it_opens_when_all_ready_replicas_fail_their_probes() -> None:
    assert look(Breaker(), ok=1, failing=2, now_s=BEGIN_S).state == "closed"
    assert look(Breaker(), ok=0, failing=0, now_s=BEGIN_S).state == "closed"
    dead = look(Breaker(), ok=0, failing=2, now_s=BEGIN_S)
    assert dead == Breaker("open", BEGIN_S, 1, "all 2 ready replicas fail their probes; open for 30 s")


@pytest.mark.parametrize(
    ("openings", "seconds"), [(1, 30), (2, 60), (3, 120), (4, 240), (5, 300), (6, 300), (10**6, 300)]
)
def test_it_is_left_alone_twice_as_long_each_time(openings: int, seconds: float) -> None:
    breaker = opened(openings)
    assert open_for_s(breaker, RULES) == seconds
    assert look(breaker, now_s=BEGIN_S + seconds - 0.1) is breaker
    half = look(breaker, now_s=BEGIN_S + seconds)
    assert half == Breaker(
        "half_open", BEGIN_S + seconds, openings, f"was open for {seconds} s; gets 10 % of its share"
    )


def test_time_alone_tries_it_again_unless_every_probe_fails() -> None:
    late_s = BEGIN_S + 1000
    assert look(opened(), None, ok=0, failing=1, now_s=late_s) == opened()
    assert look(opened(), None, ok=1, failing=1, now_s=late_s).state == "half_open"
    assert look(opened(), None, ok=0, failing=0, now_s=late_s).state == "half_open"


def test_good_answers_close_it() -> None:
    now_s = BEGIN_S + 5
    assert look(tried(), figures(9, since_s=BEGIN_S), now_s=now_s) == tried()
    cut_off = Figures(requests=12, failed=2, truncated=1, since_s=BEGIN_S)
    assert look(tried(), cut_off, now_s=now_s) == tried()  # 9 of them were good
    closed = look(tried(3), figures(10, 1, since_s=BEGIN_S), now_s=now_s)
    assert closed == Breaker("closed", now_s, 0, "10 of 11 requests went well in 5 s of trying")


@pytest.mark.parametrize(
    ("seen", "evidence"),
    [
        (figures(0, 3, in_a_row=3, since_s=BEGIN_S), "3 requests in a row failed or broke off (limit 3)"),
        (figures(2, 2, in_a_row=1, since_s=BEGIN_S), "2 of 4 requests in 5 s failed or broke off (50 %, limit 50 %)"),
    ],
)
def test_few_failures_open_it_again_for_twice_as_long(seen: Figures, evidence: str) -> None:
    again = look(tried(), seen, now_s=BEGIN_S + 5)
    assert again == Breaker("open", BEGIN_S + 5, 2, f"{evidence}, tried again; open for 60 s")


def test_one_failure_alone_does_not_open_it_again_at_once() -> None:
    assert look(tried(), figures(0, 1, in_a_row=1, since_s=BEGIN_S), now_s=BEGIN_S + 5) == tried()


def test_one_that_is_still_slow_does_not_close() -> None:
    rules = BreakerRules(ttft_p95_s=1)
    slow = figures(10, ttft_s=3, since_s=BEGIN_S)
    assert look(tried(), slow, now_s=BEGIN_S + 5, rules=rules).state == "open"


def test_probes_that_all_fail_open_it_again() -> None:
    assert look(tried(), None, ok=0, failing=1, now_s=BEGIN_S + 5).openings == 2


def test_where_nobody_asks_probes_close_it() -> None:
    nobody = figures(since_s=BEGIN_S)
    assert look(tried(), nobody, now_s=BEGIN_S + 29) == tried()
    assert look(tried(), nobody, now_s=BEGIN_S + 30) == Breaker(
        "closed",
        BEGIN_S + 30,
        0,
        "0 of 0 requests went well in 30 s of trying, and none of 2 ready replicas fails its probes",
    )
    assert look(tried(), nobody, ok=1, failing=1, now_s=BEGIN_S + 30) == tried()
    assert look(tried(), nobody, ok=0, failing=0, now_s=BEGIN_S + 30) == tried()


def test_in_the_end_whatever_was_seen_decides() -> None:
    now_s = BEGIN_S + 30
    assert look(tried(), figures(2, 1, since_s=BEGIN_S), now_s=now_s).state == "closed"
    assert look(tried(), figures(0, 1, in_a_row=1, since_s=BEGIN_S), now_s=now_s).state == "open"


def test_what_is_not_known_holds() -> None:
    assert look(tried(), None, now_s=BEGIN_S + 1000) == tried()
    assert look(Breaker(), None, now_s=BEGIN_S) == Breaker()


def test_figures_from_before_its_present_state_say_nothing() -> None:
    bad = figures(0, 50, in_a_row=50, since_s=BEGIN_S - 1)
    closed = Breaker("closed", BEGIN_S, 0, "why")
    assert look(tried(), bad, now_s=BEGIN_S + 1) == tried()
    assert look(closed, bad, now_s=BEGIN_S + 1) == closed
    assert look(tried(), figures(50, since_s=BEGIN_S - 1), now_s=BEGIN_S + 1) == tried()


ELAPSED_S = (0.0, 1.0, 7.0, 31.0, 400.0)
ANSWERS = ("unknown", "nobody", "few good", "good", "one bad", "half bad", "all bad", "slow", "older")
PROBES = ((2, 0), (1, 1), (0, 2), (0, 0))
STEPS = tuple(product(ELAPSED_S, ANSWERS, PROBES))
SOME_RULES = (
    RULES,
    BreakerRules(ttft_p95_s=2, open_s=5, max_open_s=5, half_open_requests=1, min_requests=1),
    BreakerRules(error_rate=1, consecutive_failures=1, half_open_requests=40, max_open_s=1e6),
    BreakerRules(window_s=3600, open_s=0.5, consecutive_failures=1000, min_requests=500),
)


def measure(answers: str, breaker: Breaker, rules: BreakerRules, now_s: float) -> Figures | None:
    """As the ledger does: of the window, cut where the breaker's present state began."""
    since_s = max(now_s - rules.window_s, breaker.since_s)
    match answers:
        case "unknown":
            return None
        case "nobody":
            return figures(since_s=since_s)
        case "few good":
            return figures(2, ttft_s=0.1, since_s=since_s)
        case "good":
            return figures(600, 2, ttft_s=0.1, since_s=since_s)
        case "one bad":
            return figures(1, 1, in_a_row=1, since_s=since_s)
        case "half bad":
            return figures(300, 300, in_a_row=2, ttft_s=0.1, since_s=since_s)
        case "all bad":
            return figures(0, 1200, in_a_row=1200, since_s=since_s)
        case "slow":
            return figures(600, ttft_s=9, since_s=since_s)
    return figures(0, 1200, in_a_row=1200, since_s=breaker.since_s - 1)


def check_step(old: Breaker, new: Breaker, rules: BreakerRules, *, is_dead: bool, now_s: float) -> None:
    assert (new is old) == (new == old)
    if new is not old:
        assert (old.state, new.state) in {
            ("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("half_open", "closed"),
        }  # fmt: skip
        assert new.since_s == now_s and new.reason
    if new.state == "open":
        assert is_dead or now_s - new.since_s < rules.max_open_s
        assert new.openings == old.openings + (new is not old)
    assert (new.openings == 0) == (new.state == "closed")


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(SOME_RULES), st.lists(st.sampled_from(STEPS), min_size=200, max_size=240), st.booleans())
def test_whatever_happens_in_whatever_order(
    rules: BreakerRules, steps: list[tuple[float, str, tuple[int, int]]], anyone_asks: bool
) -> None:
    """At least 200 steps in each of 500 examples."""
    breaker, now_s = Breaker(), BEGIN_S
    for elapsed_s, answers, (ok, failing) in steps:
        now_s += elapsed_s
        seen = measure(answers, breaker, rules, now_s)
        new = look(breaker, seen, ok=ok, failing=failing, now_s=now_s, rules=rules)
        stored = STORED.validate_json(STORED.dump_json(breaker))
        assert look(stored, seen, ok=ok, failing=failing, now_s=now_s, rules=rules) == new
        assert look(new, seen, ok=ok, failing=failing, now_s=now_s, rules=rules) is new
        check_step(breaker, new, rules, is_dead=ok == 0 and failing > 0, now_s=now_s)
        breaker = new
    for wait_s in (0.1, rules.max_open_s, 1.0, rules.open_s):  # from here on all is well
        now_s += wait_s
        seen = measure("good" if anyone_asks else "nobody", breaker, rules, now_s)
        breaker = look(breaker, seen, now_s=now_s, rules=rules)
    assert breaker.state == "closed"
