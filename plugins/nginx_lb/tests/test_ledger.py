import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsight_serve.plugin import Request
from finsight_serve_nginx.control import Open
from finsight_serve_nginx.ledger import Ledger, outcome, parse, unknown

ROW = {
    "id": "r1",
    "tenant": "Desk%20A",
    "deployment": "chat",
    "method": "POST",
    "upstream": "127.0.0.1:1",
    "upstream_status": "200",
    "status": "200",
    "type": "text/event-stream; charset=utf-8",
    "completion": "OK",
    "passed": "1",
    "done": "1",
    "ended_s": "1000.500",
    "duration_s": "0.500",
    "ttft_s": "0.125",
    "route_version": "12",
    "sent_bytes": "345",
    "prompt_tokens": "7",
    "completion_tokens": "5",
    "tokens_from": "usage",
}
NEW = ("route_version", "sent_bytes", "prompt_tokens", "completion_tokens", "tokens_from")
LATER_S = 4e9


def line(**changed: str) -> str:
    return json.dumps({**ROW, **changed})


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "complete"),
        ({"done": ""}, "truncated"),
        ({"passed": ""}, "truncated"),
        ({"passed": "", "done": "1"}, "truncated"),
        ({"type": "application/json", "done": ""}, "complete"),
        ({"type": "application/json", "done": "", "passed": ""}, "truncated"),
        ({"type": "text/html", "done": ""}, "truncated"),
        ({"completion": "", "passed": "", "done": ""}, "client_closed"),
        ({"status": "499", "completion": "", "passed": "", "done": ""}, "client_closed"),
        ({"status": "502", "upstream": "a:1, b:2", "passed": "", "done": ""}, "failed"),
        ({"status": "500", "type": "application/json"}, "failed"),
        ({"status": "400", "type": "application/json", "done": ""}, "complete"),
        ({"status": "429", "upstream": "", "type": "application/json", "passed": "", "done": ""}, "complete"),
        ({"method": "HEAD", "passed": "", "done": "", "type": "application/json"}, "complete"),
        ({"status": "0"}, "unknown"),
    ],
)
def test_outcome(changed: dict[str, str], expected: str) -> None:
    assert outcome({**ROW, **changed}) == expected


def test_a_row_is_read_as_the_contract_says() -> None:
    request = parse(line(upstream="127.0.0.1:1, 127.0.0.1:2 : 127.0.0.1:3").encode(), "c:1")
    assert request is not None
    assert (request.cursor, request.id, request.tenant, request.deployment) == ("c:1", "r1", "Desk A", "chat")
    assert (request.replica, request.started_s, request.duration_s, request.ttft_s) == (
        "127.0.0.1:3",
        1000.0,
        0.5,
        0.125,
    )


def measures(request: Request | None) -> tuple[object, ...]:
    assert request is not None
    return tuple(getattr(request, name) for name in NEW)


def test_version_bytes_and_tokens() -> None:
    assert measures(parse(line().encode(), "")) == (12, 345, 7, 5, "usage")
    counted = line(prompt_tokens="", tokens_from="chunks", sent_bytes="0")
    assert measures(parse(counted.encode(), "")) == (12, 0, None, 5, "chunks")
    refused = line(prompt_tokens="", completion_tokens="", tokens_from="")
    assert measures(parse(refused.encode(), "")) == (12, 345, None, None, "")


def test_a_line_of_before_an_upgrade_is_read() -> None:
    old = json.dumps({name: value for name, value in ROW.items() if name not in NEW})
    assert measures(parse(old.encode(), "")) == (0, None, None, None, "")


def test_a_group_without_live_replicas_is_no_replica() -> None:
    request = parse(line(upstream="127.0.0.1:1, deployment-chat", status="502").encode(), "")
    assert request is not None and request.replica == ""


def test_the_row_of_an_orphan() -> None:
    request = parse(unknown(Open("r9", "Desk%20A", "chat", 7, 12.25, route_version=3)).encode(), "c:1")
    assert measures(request) == (3, None, None, None, "")
    assert request is not None
    assert (request.id, request.tenant, request.outcome, request.status) == ("r9", "Desk A", "unknown", 0)
    assert (request.started_s, request.duration_s, request.ttft_s, request.replica) == (12.25, None, None, "")


@given(st.binary())
def test_what_is_no_row_is_passed_over(data: bytes) -> None:
    parse(data, "")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 4))
def test_every_row_once_from_any_cursor_through_rotation(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], n: int
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    ledger = Ledger(folder, rotate_bytes=n * 600, keep=1000)
    written: list[str] = []
    for step in steps:
        ids = [f"r{len(written) + i}" for i in range(step)]
        ledger.append(line(id=one) for one in ids)
        written += ids
        ledger.rotate()
        ledger.append([line(id=f"r{len(written)}")])
        written.append(f"r{len(written)}")
    requests, cursor = [], ""
    while True:
        found, cursor = ledger.read(cursor, LATER_S, most_bytes=1000)
        if not found:
            break
        requests += found
    assert [request.id for request in requests] == written
    middle = requests[len(requests) // 2]
    rest, _ = ledger.read(middle.cursor, LATER_S)
    assert [one.id for one in rest][:1] == written[len(requests) // 2 + 1 :][:1]


def test_a_line_still_being_written_waits(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.current.write_text(line(id="a") + "\n" + line(id="b")[:30])
    found, cursor = ledger.read("", LATER_S)
    assert [request.id for request in found] == ["a"]
    assert ledger.read(cursor, LATER_S) == ([], cursor)
    ledger.current.write_text(line(id="a") + "\n" + line(id="b") + "\n")
    assert [request.id for request in ledger.read(cursor, LATER_S)[0]] == ["b"]


def test_a_torn_line_is_passed_over_and_the_cursor_stays_good(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.current.write_text('{"id":"torn\n' + line(id="a") + "\n" + '{"torn\r again\n' + line(id="b") + "\n")
    found, cursor = ledger.read("", LATER_S)
    assert [request.id for request in found] == ["a", "b"]
    assert ledger.read(found[0].cursor, LATER_S)[0][0].id == "b"
    assert ledger.read(cursor, LATER_S)[0] == []


def test_a_rotated_file_is_left_only_once_it_is_quiet(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, rotate_bytes=1)
    ledger.append([line(id="a")])
    assert ledger.rotate()
    ledger.append([line(id="c")])
    [rotated] = [path for path in tmp_path.iterdir() if path.stem.isdigit()]
    now_s = rotated.stat().st_ctime
    found, cursor = ledger.read("", now_s)
    assert [request.id for request in found] == ["a"]
    assert ledger.read(cursor, now_s + 1)[0] == []
    with rotated.open("a") as late:
        late.write(line(id="b") + "\n")
    found, cursor = ledger.read(cursor, now_s + 1)
    assert [request.id for request in found] == ["b"]
    assert [request.id for request in ledger.read(cursor, now_s + 60)[0]] == ["c"]


def test_old_files_go_and_a_cursor_into_one_starts_at_the_oldest(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, rotate_bytes=1, keep=2)
    for number in range(6):
        ledger.append([line(id=f"r{number}")])
        if number == 0:
            cursor = ledger.read("", LATER_S)[1]
        assert ledger.rotate()
    assert sorted(os.listdir(tmp_path)) == ["00000005.log", "00000006.log"]
    assert [request.id for request in ledger.read(cursor, LATER_S)[0]] == ["r4"]


def test_a_log_renamed_but_not_reopened_is_reopened(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.rotate()
    ledger.append([line()])
    assert not ledger.rotate()
