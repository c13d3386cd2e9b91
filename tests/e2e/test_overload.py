"""A deployment's room as `fs` gives it: what is too much is refused, opens no breaker, and `fs apply` makes more."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import httpx
import pytest

from finsight_serve.cli.stored import stored_state
from finsight_serve.domain.breaker import Breaker

from .stand import MODEL, Stand
from .waiting import wait_until

ROOM, REFUSED, IN_A_ROW = 3, 8, 4
ENGINE = {"token_interval_s": 0.1}
BODY = {"model": MODEL, "prompt": "x", "max_tokens": 600, "stream": True}


def write(stand: Stand, room: int | None) -> None:
    deployment: dict[str, Any] = {"name": "chat", "model": MODEL, "engine": "sim", "engine_options": ENGINE}
    if room is not None:
        deployment["max_ongoing_requests"] = room
    tenants = [{"name": name, "deployment": "chat"} for name in ("flood", "small")]
    rules = {"consecutive_failures": IN_A_ROW, "min_requests": 2}
    stand.write(deployments=[deployment], tenants=tenants, breaker=rules, health={"period_s": 1})


@pytest.fixture
def stand() -> Iterator[Stand]:
    with closing(Stand("overload")) as stand:
        write(stand, ROOM)
        stand.serve()
        yield stand


def hold(stand: Stand, tenant: str, streams: ExitStack) -> httpx.Response:
    """A stream that goes on until `streams` is closed; or its refusal."""
    headers = {"Authorization": f"Bearer {stand.keys[tenant]}"}
    http = streams.enter_context(httpx.Client(base_url=stand.url, headers=headers, trust_env=False, timeout=20))
    return streams.enter_context(http.stream("POST", "/v1/completions", json=BODY))


def test_what_is_too_much_is_refused_fairly_and_opens_no_breaker(stand: Stand) -> None:
    with ExitStack() as streams:
        statuses = [hold(stand, "flood", streams).status_code for _ in range(2 + REFUSED)]
        assert statuses == [200] * 2 + [503] * REFUSED, "two thirds of the room"
        refused = hold(stand, "flood", streams)
        assert refused.headers["retry-after"] == "2"
        assert json.loads(refused.read())["error"]["code"] == "overloaded"
        assert hold(stand, "small", streams).status_code == 200

        counted = ("ledger", "flood", "-o", "json")
        wait_until(lambda: '"failed": 9' in stand.fs(*counted).stdout, 60, "the ledger has what was refused")
        assert stored_state(stand.state).durable.breakers.get("chat", Breaker()).state == "closed"

        write(stand, 2 * ROOM)
        applied = stand.fs("apply", "--yes")
        assert applied.returncode == 0, applied.stderr
        wait_until(lambda: hold(stand, "flood", streams).status_code == 200, 60, "more room, without a restart")
