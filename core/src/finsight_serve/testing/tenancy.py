"""What every load balancer must do for a tenant: limits, placement, what the ledger says, copies for a shadow."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx
import pytest

from ..plugin import REFUSED, Feature, LoadBalancer, Replica
from .balancing import (
    CLIENT_KEY,
    DEPLOYMENT,
    PATH,
    TENANT,
    LoadBalancerSetting,
    answer_with,
    ask,
    client,
    read_ledger,
    table,
)
from .waiting import wait_for

SESSIONS = 60
USAGE = {"prompt_tokens": 11, "total_tokens": 16, "completion_tokens": 5}


class TenancyConformance(LoadBalancerSetting):
    @pytest.mark.anyio
    async def test_too_many_per_second_is_429_with_the_time(
        self, plugin: type[Any], balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        """A second's worth may come at once, and at least one; what is refused takes nothing; a change keeps count."""
        self.skip_if_lacking(plugin, Feature.LIMITS)
        await balancer.apply(balancer.compile(table(*replicas, requests_per_s=0.02)))
        assert (await ask(balancer)).status_code == 200
        waits_s = [_refusal_s(await ask(balancer)) for _ in range(3)]
        await balancer.apply(balancer.compile(table(replicas[0], requests_per_s=0.02, version=1)))
        waits_s.append(_refusal_s(await ask(balancer)))
        assert all(35 <= wait_s <= 50 for wait_s in waits_s), waits_s
        await balancer.apply(balancer.compile(table(*replicas, requests_per_s=1000)))
        assert {(await ask(balancer)).status_code for _ in range(5)} == {200}

    @pytest.mark.anyio
    async def test_tokens_beyond_a_minute_wait_until_paid_back(
        self, plugin: type[Any], balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        self.skip_if_lacking(plugin, Feature.LIMITS)
        await balancer.apply(balancer.compile(table(*replicas, tokens_per_minute=60)))
        usage = {"prompt_tokens": 50, "total_tokens": 62, "completion_tokens": 12}
        assert (await ask(balancer, body={"usage": usage})).status_code == 200
        refused = await wait_for(lambda: answer_with(balancer, 429), what="the charge of an answer's tokens")
        assert 1 <= _refusal_s(refused) <= 2
        await wait_for(lambda: answer_with(balancer, 200), what="room once the tokens are paid back")

    @pytest.mark.anyio
    async def test_refused_share_is_503_with_retry_after(
        self, balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        await balancer.apply(balancer.compile(table(*replicas, weights={DEPLOYMENT: 50, REFUSED: 50})))
        answers = [await ask(balancer) for _ in range(40)]
        assert {answer.status_code for answer in answers} == {200, 503}
        assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)

    @pytest.mark.anyio
    async def test_a_growing_share_moves_no_session_back(
        self, plugin: type[Any], balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        """The key is the header `X-Session-Id`; the growing share takes from the one that shrinks, and only from it."""
        self.skip_if_lacking(plugin, Feature.STICKY)
        moved = (replace(replicas[0], deployment="z"), replace(replicas[1], deployment="a"))
        placed = []
        for share in (0, 15, 50):
            weights = {"z": 50 - share, "a": share, REFUSED: 50}
            await balancer.apply(balancer.compile(table(*moved, weights=weights)))
            placed.append([await _place(balancer, f"s{number}") for number in range(SESSIONS)])
            assert placed[-1] == [await _place(balancer, f"s{number}") for number in range(SESSIONS)]
        for before, after in pairwise(placed):
            changes = {(one, other) for one, other in zip(before, after, strict=True) if one != other}
            assert len(changes) == 1, f"sessions move between the two alone, and one way: {changes}"

    @pytest.mark.anyio
    async def test_ledger_says_version_bytes_and_tokens(
        self, plugin: type[Any], balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        self.skip_if_lacking(plugin, Feature.LEDGER)
        await balancer.apply(balancer.compile(table(*replicas, version=3)))
        plain = await ask(balancer)
        await ask(balancer, body={"usage": USAGE})
        await balancer.apply(balancer.compile(table(*replicas, version=4)))
        await ask(balancer, body={"chunks": 7, "usage": USAGE})
        await ask(balancer, body={"chunks": 7})
        rows = await read_ledger(balancer, "", 4)
        assert [row.route_version for row in rows] == [3, 3, 4, 4]
        assert [(row.prompt_tokens, row.completion_tokens, row.tokens_from) for row in rows] == [
            (None, None, ""),
            (11, 5, "usage"),
            (11, 5, "usage"),
            (None, 7, "chunks"),
        ]
        assert rows[0].sent_bytes == len(plain.content)
        assert {row.outcome for row in rows} == {"complete"}

    @pytest.mark.anyio
    async def test_ledger_has_what_was_refused(
        self, plugin: type[Any], balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        self.skip_if_lacking(plugin, Feature.LEDGER)
        await balancer.apply(balancer.compile(table(*replicas, weights={REFUSED: 100})))
        await ask(balancer)
        [row] = await read_ledger(balancer, "", 1)
        assert (row.tenant, row.deployment, row.status, row.outcome) == (TENANT, REFUSED, 503, "failed")

    @pytest.mark.anyio
    async def test_shadow_gets_copies_and_costs_nothing(
        self, plugin: type[Any], balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        self.skip_if_lacking(plugin, Feature.SHADOW)
        with tempfile.TemporaryDirectory() as folder:  # a socket's path must be short
            socket = Path(folder) / "s"
            await balancer.apply(balancer.compile(table(*replicas, shadow_socket=str(socket))))
            assert (await ask(balancer)).status_code == 200, "nobody listens yet"
            async with _copies(socket) as copies:
                await wait_for(lambda: _asked_until(balancer, copies), what="a copy")
                seen = len(copies)
                await balancer.apply(balancer.compile(table(*replicas, shadow_socket=str(socket), limit=0)))
                assert (await ask(balancer)).status_code == 429
                assert len(copies) == seen, "what is refused is not copied"
        head, _, body = copies[0].partition(b"\r\n\r\n")
        names = head.decode("latin-1").lower()
        assert head.startswith(f"POST {PATH} HTTP/1.1".encode()) and body == b'{"chunks":3}'
        assert f"x-finsight-tenant: {TENANT}" in names and "x-request-id: " in names
        assert "authorization" not in names and CLIENT_KEY not in names


def _refusal_s(answer: httpx.Response) -> int:
    """How long a 429 says to wait."""
    assert answer.status_code == 429
    return int(answer.headers["retry-after"])


async def _place(balancer: LoadBalancer, session: str) -> int | None:
    answer = await ask(balancer, session=session)
    return answer.json()["pid"] if answer.status_code == 200 else None


async def _asked_until(balancer: LoadBalancer, copies: list[bytes]) -> bool:
    async with client(balancer) as http:
        assert (await http.post(PATH, content=b'{"chunks":3}')).status_code == 200
    return bool(copies)


@asynccontextmanager
async def _copies(socket: Path) -> AsyncIterator[list[bytes]]:
    """What reached the socket, each request whole."""
    seen: list[bytes] = []

    async def take(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            data = b""
            while not data.endswith(b"}"):
                data += await stream.receive()
            seen.append(data)
            await stream.send(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    async with anyio.create_task_group() as tasks, await anyio.create_unix_listener(socket) as listener:
        tasks.start_soon(listener.serve, take)
        yield seen
        tasks.cancel_scope.cancel()
