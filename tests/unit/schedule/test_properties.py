from bisect import bisect_right

from hypothesis import given, settings
from hypothesis import strategies as st

from finsight_serve.domain import AutoscalingPolicy, CronHours, TradingHours, WeeklyHours, Window
from finsight_serve.domain.hours import EVERY_DAY, Hours
from finsight_serve.schedule import check_schedule, cut_overs, next_cut_over, openings, policy_at

from .times import utc

RANGES = (
    ("2026-03-05 00:00", "2026-03-11 12:00"),
    ("2026-10-23 06:00", "2026-11-03 00:00"),
    ("2026-11-23 00:00", "2026-12-02 00:00"),
)

zones = st.sampled_from(("America/New_York", "Europe/London", "Asia/Tokyo", "Australia/Lord_Howe", "UTC"))
clocks = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.sampled_from((0, 15, 30, 59)))
pairs = st.tuples(clocks, clocks).filter(lambda pair: pair[0] != pair[1])
days = st.lists(st.sampled_from(EVERY_DAY), min_size=1, max_size=7, unique=True).map(tuple)
crons = st.sampled_from(
    ("0 9 * * 1-5", "0 16 * * *", "30 2 * * *", "30 1 * * 0", "*/40 * * * *", "15 */6 * * *", "0 0 1 * *")
)
weekly = st.builds(
    lambda pair, zone, on: WeeklyHours(start=pair[0], end=pair[1], timezone=zone, days=on), pairs, zones, days
)
cron = st.builds(
    lambda pair, zone: CronHours(start=pair[0], end=pair[1], timezone=zone),
    st.tuples(crons, crons).filter(lambda pair: pair[0] != pair[1]),
    zones,
)
trading = st.builds(
    lambda exchange, pair, zone: TradingHours(exchange=exchange, start=pair[0], end=pair[1], timezone=zone),
    st.sampled_from(("XNYS", "XLON")),
    st.one_of(st.just((None, None)), pairs),
    st.one_of(st.none(), zones),
)
hours = st.one_of(weekly, cron, trading)


def named(low: int, more: int) -> dict[str, object]:
    return {"policy": AutoscalingPolicy(min_replicas=low, max_replicas=low + more, upscale_delay_s=low)}


@st.composite
def windows(draw: st.DrawFn) -> Window:
    when: Hours = draw(hours)
    kind = {TradingHours: "calendar", WeeklyHours: "weekly", CronHours: "cron"}[type(when)]
    holds: dict[str, object] = draw(
        st.one_of(
            st.fixed_dictionaries({"min_replicas": st.integers(2, 8)}),
            st.fixed_dictionaries({"max_replicas": st.integers(2, 8)}),
            st.builds(named, st.integers(1, 9), st.integers(0, 3)),
        )
    )
    return Window(lead_s=draw(st.sampled_from((0.0, 90.0, 7200.0, "measured"))), **{kind: when}, **holds)  # type: ignore[arg-type]


policies = st.builds(
    lambda schedule, low: AutoscalingPolicy(min_replicas=low, max_replicas=8, schedule=tuple(schedule)),
    st.lists(windows(), max_size=4),
    st.integers(0, 2),
)
ranges = st.sampled_from(RANGES).map(lambda pair: (utc(pair[0]), utc(pair[1])))
shares = st.lists(st.floats(0, 1, exclude_max=True), min_size=5, max_size=30)
cold_starts = st.sampled_from((None, 300.0))


@given(policies, ranges, shares, cold_starts)
@settings(max_examples=150)
def test_the_policy_at_any_time_is_what_the_cut_overs_say(
    policy: AutoscalingPolicy, between: tuple[float, float], shares: list[float], cold_start_s: float | None
) -> None:
    from_s, to_s = between
    found = cut_overs(policy, from_s, to_s, cold_start_s)
    starts, values = (
        [from_s, *(one.at_s for one in found)],
        [policy_at(policy, from_s, cold_start_s), *(one.after for one in found)],
    )
    assert starts == sorted(set(starts))
    assert [one.before for one in found] == values[:-1] and all(one.before != one.after for one in found)
    for at_s in [from_s + share * (to_s - from_s) for share in shares] + starts:
        held = policy_at(policy, at_s, cold_start_s)
        assert held == values[bisect_right(starts, at_s) - 1]
        assert held.schedule == () and held.slo is None
        later = [start for start in starts if start > at_s]
        if later:
            following = next_cut_over(policy, at_s, cold_start_s)
            assert following is not None and following.at_s == later[0]


@given(policies, ranges, shares, cold_starts)
@settings(max_examples=150)
def test_floor_and_ceiling_are_those_of_the_windows_that_count(
    policy: AutoscalingPolicy, between: tuple[float, float], shares: list[float], cold_start_s: float | None
) -> None:
    check_schedule(policy)
    from_s, to_s = between
    for at_s in (from_s + share * (to_s - from_s) for share in shares):
        held = policy_at(policy, at_s, cold_start_s)
        open_ones = [window for window in policy.schedule if openings(window.hours, at_s, at_s + 1e-3)]
        leading = [
            window
            for window in policy.schedule
            if openings(window.hours, at_s, at_s + lead_s(window, cold_start_s) + 1e-3)
        ]
        floors = [window.floor for window in (*open_ones, *leading) if window.floor is not None]
        named = [window.policy.min_replicas for window in open_ones if window.policy]
        assert held.min_replicas == max(floors + ([] if named else [policy.min_replicas]))
        assert held.min_replicas <= held.max_replicas
        lowering = [window.max_replicas for window in open_ones if window.max_replicas is not None]
        if lowering:
            assert held.max_replicas <= max(*lowering, held.min_replicas)


@given(policies, ranges, cold_starts)
@settings(max_examples=150)
def test_a_cut_over_is_the_edge_of_a_window(
    policy: AutoscalingPolicy, between: tuple[float, float], cold_start_s: float | None
) -> None:
    from_s, to_s = between
    edges = {
        edge
        for window in policy.schedule
        for one in openings(window.hours, from_s, to_s + 86400)
        for edge in (one.start_s, one.end_s, one.start_s - lead_s(window, cold_start_s))
    }
    assert {one.at_s for one in cut_overs(policy, from_s, to_s, cold_start_s)} <= edges


@given(hours, ranges, st.floats(0.01, 0.99))
@settings(max_examples=150)
def test_openings_are_the_same_however_they_are_asked_for(
    when: Hours, between: tuple[float, float], share: float
) -> None:
    from_s, to_s = between
    middle_s = round(from_s + share * (to_s - from_s))
    whole = openings(when, from_s, to_s)
    assert whole == tuple(
        sorted({*openings(when, from_s, middle_s), *openings(when, middle_s, to_s)}, key=lambda one: one.start_s)
    )
    assert all(one.start_s < one.end_s for one in whole)


def lead_s(window: Window, cold_start_s: float | None) -> float:
    return (cold_start_s or 0.0) if window.lead_s == "measured" else float(window.lead_s)
