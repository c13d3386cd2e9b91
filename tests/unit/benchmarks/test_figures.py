"""What the benchmark reports follows from what it measured."""

import pytest
from benchmarks.figures import command_rows, rate_rows, stream_rows
from benchmarks.generator import Rate, parse_wrk
from benchmarks.load import Answer, Loop


def loop(*ttfts_ms: float, ended_s: float, good: bool = True) -> Loop:
    return Loop(tuple(Answer(ended_s, ttft_ms / 1000, good) for ttft_ms in ttfts_ms))


def test_a_loop_s_rate_ends_with_its_last_answer() -> None:
    assert loop(5, 5, 5, ended_s=1.5).rate_per_s == 2.0
    assert Loop(()).rate_per_s == 0.0


def test_streams_are_compared_with_the_bare_engine() -> None:
    runs = {
        "bare": [[loop(10, 11, ended_s=2.0)], [loop(12, 99, ended_s=2.0)]],
        "whole": [[loop(11, 12, ended_s=2.5)], [loop(12, 13, ended_s=2.5), loop(1, ended_s=1, good=False)]],
    }
    bare, whole = stream_rows("toy", 1, runs, with_goal=True)
    assert (bare.ttft_p50_ms, bare.streams, bare.failed, bare.goal) == (11.5, 4, 0, "")
    assert (whole.ttft_p50_ms, whole.over_bare_ms, whole.streams, whole.failed) == (12.0, 0.5, 4, 1)
    assert (bare.streams_per_s, whole.streams_per_s, whole.rate_ratio) == (1.0, 0.8, 0.8)
    assert whole.goal == "p50 ≤ bare + 1 ms: met; ≥ 0.95 × streams/s: missed"


def test_rates_are_compared_with_the_whole_path() -> None:
    runs = {"whole": [Rate(900, 0, 0.1), Rate(1100, 1, 0.3)], "proxy": [Rate(200, 0, 0.1), Rate(200, 0, 0.1)]}
    whole, proxy = rate_rows(runs, whole_path="whole", default_proxy="proxy")
    assert (whole.requests_per_s, whole.failed, whole.client_cores, whole.goal) == (1000, 1, 0.2, "")
    assert (proxy.whole_path_ratio, proxy.goal) == (5.0, "≥ 4 × Ray's default proxy: met")


def test_commands_are_compared_with_an_empty_python() -> None:
    python, fs = command_rows({"python": [0.010, 0.012, 0.011], "fs": [0.200, 0.150, 0.160]}, baseline="python")
    assert (python.median_ms, python.goal) == (11.0, "")
    assert (fs.median_ms, fs.fastest_ms, fs.over_python_ms, fs.goal) == (160.0, 150.0, 149.0, "< 150 ms: missed")


def test_wrk_s_report_is_read() -> None:
    report = """Running 5s test
  Socket errors: connect 0, read 3, write 0, timeout 2
  Non-2xx or 3xx responses: 4
  Latency Distribution
     50%   98.00us
     99%    1.20ms
Requests/sec:   1263.50
"""
    assert parse_wrk(report) == Rate(1263.5, 9, None, 0.098, 1.2)
    assert parse_wrk("Requests/sec: 10.0") == Rate(10.0, 0, None)
    with pytest.raises(ValueError, match="no rate"):
        parse_wrk("unable to connect")
