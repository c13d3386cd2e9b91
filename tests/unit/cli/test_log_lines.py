"""What a controller's log looks like."""

import json

import pytest

from finsight_serve.cli.log_lines import log_in
from finsight_serve.domain import Event

EVICTED = Event(1_764_000_000.25, "replica_evicted", "chat-1", "two failures in a row: “timeout”\nand again", {"n": 2})


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log = log_in("json")
    log.tell(EVICTED)
    log.say("waiting for chat")
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first) == {
        "time": "2025-11-24T16:00:00.250Z",
        "event": "replica_evicted",
        "subject": "chat-1",
        "message": EVICTED.reason,
        "data": {"n": 2},
    }
    told = json.loads(second)
    assert told["message"] == "waiting for chat" and told.keys() == {"time", "message"}


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    log_in("text").tell(Event(0.0, "applied", "chat", "the want is in force"))
    assert capsys.readouterr().out.endswith("  applied  chat  the want is in force\n")
