"""Conversations while a share grows from 10 to 50 to 100 %: each moves once at most, and what has none is spread."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from threading import Thread

import anyio
import httpx
import pytest

from .blue_green import ATTENTIVE, DESTINATION, SOURCE, deployment, rows
from .moving import migrate, migrations, wait_over, wait_phase
from .stand import MODEL, Stand
from .waiting import wait_until

SESSIONS, AT_A_TIME = 80, 8
RULES = ("--steps", "10,50,100", "--hold", "5s", "--min-requests", "20", "--limit", "error_rate<=0%")
"""A step holds for longer than a command takes."""
UNHURRIED_S = 0.05  # so that the conversations leave a processor to the rest
SINGLE, LEAST_SHARE, MOST_SHARE = 100, 0.32, 0.68  # at 50 %: 3.6 standard deviations to either side


@dataclass(frozen=True)
class Turn:
    session: str  # "": without the header
    request_id: str
    status: int


class Conversations:
    """Each session asks one request after the other, several sessions at a time, from `with` to its end."""

    def __init__(self, stand: Stand) -> None:
        self.turns: list[Turn] = []
        self._stand, self._stopped = stand, False
        self._thread = Thread(target=anyio.run, args=(self._run,), daemon=True)

    def __enter__(self) -> "Conversations":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._thread.join(60)

    async def _run(self) -> None:
        names = [f"session-{number}" for number in range(SESSIONS)]
        async with anyio.create_task_group() as tasks:
            for first in range(AT_A_TIME):
                tasks.start_soon(self._talk, names[first::AT_A_TIME])

    async def _talk(self, sessions: list[str]) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            while not self._stopped:
                for session in sessions:
                    self.turns.append(await ask(http, self._stand, session))


async def ask(http: httpx.AsyncClient, stand: Stand, session: str) -> Turn:
    headers = {"Authorization": f"Bearer {stand.keys['default']}", **({"x-session-id": session} if session else {})}
    body = {"model": MODEL, "messages": [{"role": "user", "content": "go on"}], "max_tokens": 2}
    answer = await http.post(f"{stand.url}/v1/chat/completions", json=body, headers=headers)
    return Turn(session, answer.headers["x-request-id"], answer.status_code)


async def ask_many(stand: Stand, count: int) -> list[Turn]:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        return [await ask(http, stand, "") for _ in range(count)]


@pytest.fixture(scope="module")
def two() -> Iterator[Stand]:
    with closing(Stand("routes")) as stand:
        both = [deployment(name, ttft_s=UNHURRIED_S) for name in (SOURCE, DESTINATION)]
        stand.write(breaker=ATTENTIVE, deployments=both)
        stand.serve()
        yield stand


def test_a_conversation_moves_once_at_most(two: Stand) -> None:
    stand = two
    with Conversations(stand) as talk:
        wait_until(lambda: len(talk.turns) >= 2 * SESSIONS, 60, "every session has begun at the source")
        id = migrate(stand, "default", DESTINATION, *RULES)
        wait_phase(stand, id, "shifting 50")
        assert stand.fs("migrate", "pause", id).returncode == 0
        wait_until(lambda: stand.seen().routes_in_force == stand.seen().route_version, 60, "50 % are in force")
        single = anyio.run(ask_many, stand, SINGLE)
        assert stand.fs("migrate", "resume", id).returncode == 0
        assert wait_over(stand, id, 60).phase == "done"
    assert {turn.status for turn in (*talk.turns, *single)} == {200}
    seen = rows(stand, {turn.request_id for turn in (*talk.turns, *single)})

    alone = sum(seen[turn.request_id]["deployment"] == DESTINATION for turn in single)
    assert LEAST_SHARE < alone / SINGLE < MOST_SHARE, f"{alone} of {SINGLE} went to the destination at 50 %"

    steps = [record.from_version for record in migrations(stand)[id].records]
    moved_at = {}
    for session in {turn.session for turn in talk.turns}:
        own = [seen[turn.request_id] for turn in talk.turns if turn.session == session]
        assert [where for where, _ in groupby(one["deployment"] for one in own)] == [SOURCE, DESTINATION], session
        first = next(one for one in own if one["deployment"] == DESTINATION)
        moved_at[session] = max(step for step in steps if step <= first["route_version"])
    moved = [sum(step == at for at in moved_at.values()) for step in steps]
    print(f"of {SESSIONS} sessions moved at 10, 50 and 100 %: {moved}")
    assert len(moved) == 3 and all(moved) and sum(moved) == SESSIONS
