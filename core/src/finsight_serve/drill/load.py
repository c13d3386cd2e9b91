"""A steady load of streams, with a ledger of its own: how each ended, as the client saw it."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Literal

import anyio
import httpx

from ..errors import one_line

Outcome = Literal["complete", "failed", "truncated", "turned_away"]
DONE = b"data: [DONE]"
TOO_MANY = 429
PAUSE_S = 0.2
TIMEOUT_S = 60.0
TAIL_BYTES = 200


@dataclass(frozen=True)
class Answer:
    """`failed`: nothing of an answer came. `truncated`: some did, not the whole. `turned_away`: over a limit."""

    outcome: Outcome
    began_s: float  # Unix time, as `ended_s`
    ended_s: float
    why: str = ""


@dataclass(frozen=True)
class Counts:
    requests: int
    failed: int
    truncated: int
    turned_away: int


def count(answers: Iterable[Answer]) -> Counts:
    outcomes = [answer.outcome for answer in answers]
    return Counts(len(outcomes), *(outcomes.count(one) for one in ("failed", "truncated", "turned_away")))


@dataclass(frozen=True)
class Caller:
    url: str  # http://host:port
    key: str
    model: str
    clients: int = 6
    tokens: int = 30


class Load:
    """`clients` that each ask for one stream after the other, from `start` to `stop`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._answers: list[Answer] = []
        self._lock, self._stopped = Lock(), Event()
        self._thread = Thread(target=anyio.run, args=(self._run,), name="load", daemon=True)

    def start(self) -> "Load":
        self._thread.start()
        return self

    def stop(self) -> None:
        """Open streams are waited for."""
        self._stopped.set()
        self._thread.join(TIMEOUT_S + PAUSE_S)

    @property
    def answers(self) -> tuple[Answer, ...]:
        with self._lock:
            return tuple(self._answers)

    def change_key(self, key: str) -> None:
        """From the next request on."""
        self._caller = Caller(self._caller.url, key, self._caller.model, self._caller.clients, self._caller.tokens)

    def complete_since(self, at_s: float) -> int:
        """Of those that began then or later."""
        return sum(answer.outcome == "complete" and answer.began_s >= at_s for answer in self.answers)

    def first_bad(self, since_s: float) -> Answer | None:
        bad = (one for one in self.answers if one.outcome in ("failed", "truncated") and one.ended_s >= since_s)
        return min(bad, key=lambda answer: answer.ended_s, default=None)

    def last_bad_s(self, since_s: float) -> float:
        """When the last one ended that was not whole; `since_s` where all were."""
        bad = [one.ended_s for one in self.answers if one.outcome in ("failed", "truncated")]
        return max([since_s, *bad])

    async def _run(self) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(self._caller.clients):
                tasks.start_soon(self._work)

    async def _work(self) -> None:
        # its certificate is made for the drill, and it is asked on this machine alone
        async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S, verify=False) as http:
            while not self._stopped.is_set():
                answer = await ask(http, self._caller)
                with self._lock:
                    self._answers.append(answer)
                if answer.outcome != "complete":
                    await anyio.sleep(PAUSE_S)  # else what is down would be asked without end


async def ask(http: httpx.AsyncClient, caller: Caller) -> Answer:
    began_s, status, tail, why = time.time(), 0, b"", ""
    body = {
        "model": caller.model,
        "messages": [{"role": "user", "content": "a steady load"}],
        "max_tokens": caller.tokens,
        "stream": True,
    }
    headers = {"Authorization": f"Bearer {caller.key}"}
    try:
        async with http.stream("POST", f"{caller.url}/v1/chat/completions", json=body, headers=headers) as response:
            status = response.status_code
            async for part in response.aiter_raw():
                tail = (tail + part)[-TAIL_BYTES:]
    except httpx.HTTPError as error:
        why = one_line(error)
    return Answer(outcome_of(status, tail, why), began_s, time.time(), why or f"HTTP {status}")


def outcome_of(status: int, tail: bytes, why: str) -> Outcome:
    if status == TOO_MANY:
        return "turned_away"
    if status != 200 or not tail:
        return "failed"
    return "complete" if DONE in tail and not why else "truncated"
