"""Traces: what is read, drawn, chosen, and refused with a line."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from finsight_serve.errors import UserError
from finsight_serve.lab import arrivals
from finsight_serve.lab.trace import DAY_S, read_trace

RATES = "client,t_s,rate_rps,cv,iat_dist,p1,p2\n"


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "load.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def rates(*, days=2, clients=(1, 2)):
    rows = [
        f"{client},{day * 86400 + 36000 + 600 * window},{client * 0.1},2,{kind},{shape},1"
        for client, kind, shape in zip(clients, ("Gamma", "Weibull"), (0.25, 0.5), strict=True)
        for day in range(days)
        for window in range(6)
    ]
    return RATES + "\n".join(rows) + "\n"


def test_arrivals_with_every_column(write):
    trace = read_trace(
        write(
            "arrival_s,tenant,input_tokens,output_tokens,service_s\n0.5,research,10,20,1.5\n2,ops,30,40,2\n2,research,1,2,3\n"
        ),
        starts="2026-11-02",
        timezone="America/New_York",
    )
    assert trace.arrival_s.tolist() == [0.5, 2, 2]
    assert [trace.tenants[one] for one in trace.tenant] == ["research", "ops", "research"]
    assert trace.output_tokens.tolist() == [20, 40, 2]
    assert trace.service_s.tolist() == [1.5, 2, 3]
    assert (
        datetime.fromtimestamp(trace.start_s, ZoneInfo("America/New_York")).isoformat() == "2026-11-02T00:00:00-05:00"
    )
    assert trace.anchored


def test_a_trace_without_a_date_is_not_anchored(write):
    assert not read_trace(write("arrival_s\n1\n2\n")).anchored


def test_epoch_seconds_are_anchored_by_themselves_and_can_be_moved(write):
    path = write("arrival_s\n1774962000\n1774962060.5\n")  # 2026-03-31 09:00 in New York
    trace = read_trace(path, timezone="America/New_York")
    assert trace.anchored
    assert trace.arrival_s.tolist() == [9 * 3600, 9 * 3600 + 60.5]
    moved = read_trace(path, timezone="America/New_York", starts="2026-07-01")
    assert moved.arrival_s.tolist() == trace.arrival_s.tolist()
    assert moved.start_s - trace.start_s == 92 * DAY_S


def test_azures_columns(write):
    trace = read_trace(
        write(
            "TIMESTAMP,ContextTokens,GeneratedTokens\n"
            "2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,3180,8\n"
        )
    )
    assert trace.arrival_s.tolist() == pytest.approx([65823.97996, 65824.03196], abs=1e-5)
    assert trace.input_tokens.tolist() == [4808, 3180]
    assert trace.start_s == 1700092800


def test_client_rates_are_drawn_to_the_count_asked_for_in_their_windows(write):
    trace = read_trace(write(rates()), per_client_per_day=500, seed=3)
    assert len(trace) == 2 * 2 * 500
    assert np.bincount(trace.tenant).tolist() == [1000, 1000]
    assert trace.tenants == ("client-1", "client-2")
    hours = trace.arrival_s % DAY_S
    assert (hours >= 36000).all()
    assert (hours <= 39600).all()
    assert (np.diff(trace.arrival_s) >= 0).all()
    assert trace.spans == ((0.0, 2 * DAY_S),)


def test_the_same_seed_draws_the_same_and_another_another(write):
    path = write(rates())
    first, again, other = (read_trace(path, per_client_per_day=50, seed=seed).arrival_s for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_recorded_rates_are_kept_unless_scaled(write):
    trace = read_trace(write(rates(days=1)), clients=[2])
    assert len(trace) == round(0.2 * 6 * 600)


def test_drawn_gaps_are_as_bursty_as_recorded(write):
    windows = "".join(f"1,{600 * window},1,4,Gamma,0.0625,1\n" for window in range(144))
    trace = read_trace(write(RATES + windows), per_client_per_day=50_000)
    gaps = np.diff(trace.arrival_s)
    assert gaps.std() / gaps.mean() == pytest.approx(4, rel=0.15)


def test_days_are_where_they_are(write):
    path = write(rates(days=4))
    trace = read_trace(path, per_client_per_day=100, days=[0, 1, 3])
    assert trace.spans == ((0.0, 2 * DAY_S), (3 * DAY_S, 4 * DAY_S))
    assert set((trace.arrival_s // DAY_S).astype(int)) == {0, 1, 3}
    assert len(trace) == 2 * 3 * 100


def test_days_of_arrivals(write):
    trace = read_trace(write("arrival_s\n10\n86410\n172810\n"), days=[0, 2])
    assert trace.arrival_s.tolist() == [10, 172810]
    assert trace.spans == ((0.0, DAY_S), (2 * DAY_S, 3 * DAY_S))


def test_a_day_after_the_last_is_none_of_the_trace(write):
    trace = read_trace(write("arrival_s\n10\n86410\n"), days=[0, 1])
    with pytest.raises(UserError, match="has no day 2"):
        trace.select([1, 2])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("arrival_s\n5\n4\n", ":3: arrival_s 4 comes after 5; sort the rows by time"),
        ("arrival_s,tenant\n5,a\n6,b\n6,b\n", ":4: the row of arrival_s 6 stands there twice"),
        ("arrival_s\n-1\n4\n", ":2: arrival_s must be at least 0, found -1"),
        ("arrival_s,tenant\n1,a\n,a\n", ":3: arrival_s is missing"),
        ("arrival_s\n1\n\n2\n", ":3: arrival_s is missing"),
        ("arrival_s,tenant\n1,a\n2,\n", ":3: tenant is missing"),
        ("arrival_s\n1\nsoon\n", ":3: arrival_s must be a number, found soon"),
        ("arrival_s\n1\ninf\n", ":3: arrival_s must be at least 0"),
        ("arrival_s,service_s\n1,-2\n", ":2: service_s must be at least 0, found -2"),
        ("time,tenant\n1,a\n", ":1: no column arrival_s, found time, tenant"),
        ("arrival_s,price\n1,2\n", ":1: no column is named price"),
        ("arrival_s,arrival_s\n1,2\n", ":1: a column stands there twice"),
        ("", ": is empty"),
        ("arrival_s\n", ": has a header and no rows"),
        (b"arrival_s\n1\n\xff\xfe\x00", ": "),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,2\n", ":2: TIMESTAMP must be a time as"),
        (RATES + "1,0,-2,1,Gamma,1,1\n", ":2: rate_rps must be a number of at least 0, found -2"),
        (RATES, ": has no rows"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_with_its_place(write, text, told):
    path = write(text)
    with pytest.raises(UserError) as raised:
        read_trace(path)
    assert str(raised.value).startswith(f"{path}{told}")
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_trace(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"starts": "tomorrow"}, "--starts: must be a date as 2026-11-02, found tomorrow"),
        ({"timezone": "Mars/Olympus"}, "no IANA time zone is named Mars/Olympus"),
        ({"days": [4]}, "has no day 4"),
        ({"clients": [1]}, "for ServeGen's client rates, which it is not"),
    ],
)
def test_options_that_mean_nothing(write, options, told):
    with pytest.raises(UserError, match=told):
        read_trace(write("arrival_s\n1\n"), **options)


@pytest.mark.parametrize(
    ("options", "told"), [({"clients": [9]}, "client 9 sends nothing"), ({"days": [7]}, "has no day 7")]
)
def test_client_rates_that_are_not_there(write, options, told):
    with pytest.raises(UserError, match=told):
        read_trace(write(rates()), **options)


def test_more_rows_than_the_limit_are_refused_without_being_read_to_the_end(write, monkeypatch):
    monkeypatch.setattr(arrivals, "CHUNK_ROWS", 100)
    path = write("arrival_s\n" + "\n".join(map(str, range(10_000))))
    with pytest.raises(UserError, match=r"about [\d,]+ requests; at most 1,000 can be simulated"):
        read_trace(path, max_requests=1000)
    with pytest.raises(UserError, match="more than 9,999 requests"):
        read_trace(path, max_requests=9999)
    assert len(read_trace(path, max_requests=10_000)) == 10_000


def test_too_many_requests_are_refused_before_they_are_drawn(write):
    with pytest.raises(UserError, match="requests; from 1 to 20,000,000 can be simulated"):
        read_trace(write(rates()), per_client_per_day=1e9)
