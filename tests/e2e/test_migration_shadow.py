"""Copies of a tenant's requests decide whether it is moved; nobody who asks or pays notices them."""

import json
from collections.abc import Iterator
from contextlib import closing
from threading import Event, Thread
from typing import Any

import openai
import pytest

from .blue_green import ATTENTIVE, DESTINATION, PATIENT, SOURCE, begin_attached, deployment, rows, wait_at
from .moving import wait_over, wait_phase
from .stand import MODEL, Stand
from .waiting import wait_until

OTHER, BROKEN = "chat-other", "chat-broken"
SAID = "one two three"
SOURCE_TOKENS, OTHER_TOKENS = 12, 9  # of an answer to a request that sets no limit
AT_ONCE, PLAIN = 2, 60
SHADOW = (
    "--shadow", "100%", "--steps", "50,100", "--hold", "1s", "--min-requests", "10", "--limit", "error_rate<=1%"
)  # fmt: skip


class Asking:
    """One tenant, as many clients as it may have: at temperature 0, from `with` to its end."""

    def __init__(self, stand: Stand, tenant: str) -> None:
        self.texts: list[str] = []
        self.errors: list[str] = []
        self.tokens = 0
        self._stand, self._tenant, self._stop = stand, tenant, Event()
        self._threads = [Thread(target=self._run, daemon=True) for _ in range(AT_ONCE)]

    def __enter__(self) -> "Asking":
        for thread in self._threads:
            thread.start()
        wait_until(lambda: len(self.texts) > AT_ONCE, 60, "answers come")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self) -> None:
        with self._stand.client(self._tenant) as client:
            while not self._stop.is_set():
                try:
                    answer = client.chat.completions.create(
                        model=MODEL, messages=[{"role": "user", "content": SAID}], temperature=0
                    )
                except openai.OpenAIError as error:
                    self.errors.append(f"{type(error).__name__}: {error}")
                    continue
                assert answer.usage
                self.tokens += answer.usage.completion_tokens
                self.texts.append(answer.choices[0].message.content or "")


@pytest.fixture(scope="module")
def shadowed() -> Iterator[Stand]:
    with closing(Stand("shadow")) as stand:
        stand.write(
            health=PATIENT,
            breaker=ATTENTIVE,
            deployments=[
                deployment(SOURCE, output_tokens=SOURCE_TOKENS),
                deployment(DESTINATION, output_tokens=SOURCE_TOKENS),
                deployment(OTHER, output_tokens=OTHER_TOKENS),
                deployment(BROKEN, output_tokens=SOURCE_TOKENS, truncate_after_tokens=3),  # a probe asks for one
            ],
            tenants=[
                {"name": name, "deployment": SOURCE, "max_ongoing_requests": AT_ONCE}
                for name in ("plain", "good", "other", "broken")
            ],
        )
        stand.serve()
        yield stand


def steps(stand: Stand, id: str) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = json.loads(stand.fs("ledger", id, "-o", "json").stdout)["steps"]
    return shown


def assert_unnoticed(stand: Stand, tenant: str, asked: Asking) -> None:
    """All whole, one row in the ledger for each request and none for a copy, and no more is charged for."""
    assert asked.errors == []
    assert all(len(text.split()) == SOURCE_TOKENS for text in asked.texts)

    def used() -> dict[str, Any] | None:
        usage = json.loads(stand.fs("tenant", "show", tenant, "-o", "json").stdout)["usage"]
        total = {name: sum(row[name] for row in usage) for name in ("requests", "completion_tokens")}
        return total if total["requests"] >= len(asked.texts) else None

    expected = {"requests": len(asked.texts), "completion_tokens": asked.tokens}
    assert wait_until(used, 60, "the ledger has all") == expected
    own = [one for one in rows(stand).values() if one["tenant"] == tenant]
    assert {(one["outcome"], one["status"]) for one in own} == {("complete", 200)}


def test_without_a_shadow_as_many_at_once_are_let_in(shadowed: Stand) -> None:
    """What the tests below would otherwise blame on the copies."""
    with Asking(shadowed, "plain") as asked:
        wait_until(lambda: len(asked.texts) + len(asked.errors) >= PLAIN, 60, "answers come")
    assert asked.errors == []


def test_a_good_destination_passes_and_is_moved_to(shadowed: Stand) -> None:
    with Asking(shadowed, "good") as asked:
        watching, id = begin_attached(shadowed, "good", DESTINATION, *SHADOW)
        wait_phase(shadowed, id, "shadowing")
        ended = wait_over(shadowed, id, 60)
    said = watching.communicate(timeout=30)[0]
    assert (watching.returncode, ended.phase) == (0, "done"), said
    assert "copies compared" in said
    assert [one["percent"] for one in steps(shadowed, id) if one["deployment"] == DESTINATION] == [50, 100]
    wait_at(shadowed, DESTINATION, "good")
    assert_unnoticed(shadowed, "good", asked)


@pytest.mark.parametrize(
    ("tenant", "destination", "limit"), [("other", OTHER, "other_text<=50%"), ("broken", BROKEN, "error_rate<=1%")]
)
def test_a_bad_destination_is_given_up_before_anything_is_moved(
    shadowed: Stand, tenant: str, destination: str, limit: str
) -> None:
    with Asking(shadowed, tenant) as asked:
        watching, id = begin_attached(shadowed, tenant, destination, *SHADOW)
        ended = wait_over(shadowed, id, 60)
    said = watching.communicate(timeout=30)[0]
    assert (watching.returncode, ended.phase) == (1, "rolled_back"), said
    assert ended.reason.startswith(f"{limit}: ") and "nothing was moved" in ended.reason
    assert ended.reason in said
    wait_at(shadowed, SOURCE, tenant)
    assert_unnoticed(shadowed, tenant, asked)
    assert sum(one["requests"] for one in steps(shadowed, id) if one["deployment"] == destination) == 0
    assert {one["deployment"] for one in rows(shadowed).values() if one["tenant"] == tenant} == {SOURCE}
