from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.domain.figures import Figures
from finsight_serve.domain.limit import Limit, check, check_answers, format_limit, parse_limit

ERRORS = Limit("error_rate", 0.001)
SLOWER = Limit("ttft_p95", 1.5, relative=True)
BASELINE = Figures(requests=100, ttft_p50_s=0.2, ttft_p95_s=0.5)

LIMITS = st.one_of(
    st.builds(Limit, st.sampled_from(["error_rate", "other_finish", "other_text"]), st.floats(0, 1)),
    st.builds(Limit, st.sampled_from(["failed", "truncated"]), st.integers(0, 10**6).map(float)),
    st.builds(Limit, st.sampled_from(["ttft_p50", "ttft_p95"]), st.floats(1e-9, 1e9), st.booleans()),
)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("error_rate<=0.1%", ERRORS),
        ("error_rate<=0.001", ERRORS),
        ("error_rate <= .1 %", ERRORS),
        ("error_rate<=0", Limit("error_rate", 0.0)),
        ("ttft_p95<=1.5x", SLOWER),
        ("ttft_p95<=800ms", Limit("ttft_p95", 0.8)),
        (" ttft_p50 <= 2s ", Limit("ttft_p50", 2.0)),
        ("truncated<=0", Limit("truncated", 0.0)),
        ("failed<=2", Limit("failed", 2.0)),
        ("other_text<=100%", Limit("other_text", 1.0)),
    ],
)
def test_what_people_write(text: str, limit: Limit) -> None:
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no limit: write METRIC<=AMOUNT, as error_rate<=0.1%"),
        ("error_rate", "is no limit"),
        ("error_rate=0.1%", "is no limit"),
        ("eror_rate<=0.1%", "no metric named eror_rate; .* did you mean error_rate?"),
        ("latency<=1s", "no metric named latency; there are error_rate, failed"),
        ("error_rate<0.1%", "a limit names the most that is let pass: write error_rate<=AMOUNT, as error_rate<=0.1%"),
        ("ttft_p95>=1s", "write ttft_p95<=AMOUNT"),
        ("error_rate<=", "nothing is no share"),
        ("error_rate<=5", "5 is no share of the requests .from 0 to 100%., as error_rate<=0.1%"),
        ("error_rate<=101%", "is no share"),
        ("error_rate<=1.5x", "1.5x is no share"),
        ("error_rate<=1s", "is no share"),
        ("error_rate<=nan", "nan is no share"),
        ("error_rate<=-1%", "-1% is no share"),
        ("failed<=1.5", "1.5 is no number of requests, as failed<=0"),
        ("failed<=2%", "is no number of requests"),
        ("truncated<=inf", "inf is no number of requests"),
        ("ttft_p95<=2", r"2 is no time \(above 0, with its unit\), as ttft_p95<=1.5x, ttft_p95<=800ms"),
        ("ttft_p95<=0s", "0s is no time"),
        ("ttft_p95<=-1s", "is no time"),
        ("ttft_p95<=1e3s", "is no time"),
        ("ttft_p95<=1.2.3s", "is no time"),
        ("ttft_p95<=" + "9" * 400 + "s", "is no time"),
        ("ttft_p95<=\N{ARABIC-INDIC DIGIT NINE}s", "is no time"),
    ],
)
def test_what_is_no_limit_teaches_how_to_write_one(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse_limit(text)
    assert "<=" in str(caught.value) and "\n" not in str(caught.value)


@given(LIMITS)
def test_a_limit_is_read_back_as_it_was_written(limit: Limit) -> None:
    assert parse_limit(format_limit(limit)) == limit


def test_limits_are_written_as_people_write_them() -> None:
    texts = ("error_rate<=0.1%", "ttft_p95<=1.5x", "ttft_p95<=800ms", "ttft_p95<=2s", "truncated<=0", "failed<=20")
    assert tuple(format_limit(parse_limit(text)) for text in texts) == texts


@pytest.mark.parametrize(
    ("requests", "failed", "truncated", "verdict"),
    [
        (0, 0, 0, "unknown"),
        (19, 0, 0, "unknown"),
        (20, 0, 0, "ok"),
        (1, 1, 0, "exceeded"),  # 19 good answers would not make up for it
        (1, 0, 1, "exceeded"),
        (1000, 1, 0, "ok"),
        (999, 1, 0, "exceeded"),
    ],
)
def test_failures_count_as_soon_as_nothing_can_make_up_for_them(
    requests: int, failed: int, truncated: int, verdict: str
) -> None:
    assert check(ERRORS, Figures(requests, failed, truncated), None, 20).verdict == verdict


def test_a_few_failures_wait_for_the_rest_where_they_may_still_be_few() -> None:
    tenth = Limit("error_rate", 0.1)
    assert check(tenth, Figures(2, 2), None, 20).verdict == "unknown"
    assert check(tenth, Figures(3, 3), None, 20).verdict == "exceeded"


@given(st.integers(0, 100), st.integers(1, 20))
def test_exactly_the_limit_is_let_pass(percent: int, times: int) -> None:
    limit = parse_limit(f"error_rate<={percent}%")
    assert check(limit, Figures(100 * times, percent * times), None, 1).verdict == "ok"
    assert check(limit, Figures(100 * times, percent * times + 1), None, 1).verdict == "exceeded"


@pytest.mark.parametrize(("count", "verdict"), [(2, "ok"), (3, "exceeded")])
def test_counts_wait_for_nothing(count: int, verdict: str) -> None:
    assert check(Limit("failed", 2), Figures(5, failed=count), None, 20).verdict == verdict
    assert check(Limit("truncated", 2), Figures(5, truncated=count), None, 20).verdict == verdict


@pytest.mark.parametrize(
    ("limit", "found_s", "reference", "verdict"),
    [
        (SLOWER, 0.75, BASELINE, "ok"),
        (SLOWER, 0.76, BASELINE, "exceeded"),
        (SLOWER, 0.1, None, "unknown"),
        (SLOWER, 0.1, Figures(requests=100), "unknown"),
        (SLOWER, 9.0, Figures(requests=19, ttft_p95_s=0.5), "unknown"),
        (SLOWER, None, BASELINE, "unknown"),
        (Limit("ttft_p95", 0.8), 0.8, None, "ok"),
        (Limit("ttft_p95", 0.8), 0.81, None, "exceeded"),
    ],
)
def test_times_to_first_token(limit: Limit, found_s: float | None, reference: Figures | None, verdict: str) -> None:
    assert check(limit, Figures(20, ttft_p95_s=found_s), reference, 20).verdict == verdict


def test_a_time_seen_too_seldom_says_nothing() -> None:
    assert check(SLOWER, Figures(19, ttft_p95_s=9.0), BASELINE, 20).verdict == "unknown"


def test_who_gave_up_waiting_counts_in_a_time_and_in_no_share_of_failures() -> None:
    hanging = Figures(0, ttft_p95_s=30.0, given_up=20)
    assert check(SLOWER, hanging, BASELINE, 20).verdict == "exceeded"
    assert check(SLOWER, replace(hanging, given_up=19), BASELINE, 20).verdict == "unknown"
    assert check(ERRORS, hanging, BASELINE, 20).verdict == "unknown"


@given(st.integers(0, 5000), st.integers(0, 5000), st.sampled_from(["refused", "given_up"]))
def test_as_large_a_share_as_at_the_source_is_let_pass(newest: int, count: int, kind: str) -> None:
    there = Figures(newest=max(newest, 1), **{kind: min(count, newest)})
    here = replace(there, newest=there.newest + 20, **{kind: getattr(there, kind) + 20})
    assert check_answers(there, [here]) == check_answers(there, [Figures(newest=5000), here]) == ()


@given(st.integers(6, 5000), st.sampled_from(["refused", "given_up"]))
def test_more_than_twice_the_sources_share_and_five_are_not(count: int, kind: str) -> None:
    source = Figures(newest=1000, **{kind: 10})
    most = Figures(newest=50 * (count - 5), **{kind: count})  # 1 % of them twice, and five
    assert check_answers(most, [source]) == ()
    assert [one.verdict for one in check_answers(replace(most, **{kind: count + 1}), [source])] == ["exceeded"]
    assert [one.verdict for one in check_answers(most, [Figures(newest=19)])] == ["unknown"]


def test_each_percentile_has_its_own_figure() -> None:
    figures = Figures(20, ttft_p50_s=0.4, ttft_p95_s=0.5)
    assert check(Limit("ttft_p50", 1.5, relative=True), figures, BASELINE, 20).verdict == "exceeded"
    assert check(SLOWER, figures, BASELINE, 20).verdict == "ok"


@given(LIMITS)
def test_no_figures_are_no_proof(limit: Limit) -> None:
    assert check(limit, None, BASELINE, 20).verdict == "unknown"


def test_the_evidence_has_the_limit_and_the_figures() -> None:
    assert check(ERRORS, Figures(5, 1, 1), None, 20).evidence == (
        "error_rate<=0.1%: 2 of 5 requests failed or were truncated"
    )
    assert check(SLOWER, Figures(20, ttft_p95_s=0.812), BASELINE, 20).evidence == (
        "ttft_p95<=1.5x: 812 ms, the source 500 ms"
    )


@pytest.mark.parametrize("text", ["error_rate<=0%", "failed<=0", "ttft_p95<=1.5x", "ttft_p95<=1s"])
def test_where_no_request_is_waited_for_none_is_missed(text: str) -> None:
    assert check(parse_limit(text), Figures(), None, 0).verdict == "ok"
    assert check(parse_limit(text), None, None, 0).verdict == "unknown"


def test_what_is_seen_counts_also_where_none_is_waited_for() -> None:
    assert check(parse_limit("error_rate<=0%"), Figures(requests=1, failed=1), None, 0).verdict == "exceeded"
    assert check(parse_limit("ttft_p95<=1s"), Figures(requests=1, ttft_p95_s=2.0), None, 0).verdict == "exceeded"
