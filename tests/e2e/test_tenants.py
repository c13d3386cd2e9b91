"""Tenants as their operator and their clients meet them: added, limited, rotated, revoked, on what runs."""

import json
from collections.abc import Iterator
from contextlib import closing

import httpx
import openai
import pytest

from .stand import MODEL, Stand
from .waiting import wait_until

QUESTION = [{"role": "user", "content": "one two three"}]
GRACE_S = 3


@pytest.fixture(scope="module")
def served() -> Iterator[Stand]:
    with closing(Stand("tenants")) as stand:
        stand.write(engine_options={"token_interval_s": 0.01})
        stand.serve()
        yield stand


def add(stand: Stand, name: str, *options: str) -> str:
    done = stand.fs("tenant", "add", name, *options)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("In force now.\n"), done.stderr
    stand.keys[name] = done.stdout.strip()
    return stand.keys[name]


def rotate(stand: Stand, name: str, *options: str) -> str:
    done = stand.fs("tenant", "rotate", name, *options)
    assert done.returncode == 0, done.stderr
    stand.keys[name] = done.stdout.strip()
    return stand.keys[name]


def refused(stand: Stand, *command: str) -> str:
    """The first line; there is one, and perhaps where to get help."""
    done = stand.fs(*command)
    assert (done.returncode, done.stdout) == (2, ""), done.stdout + done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) <= 2
    return done.stderr.splitlines()[0]


def status_with(stand: Stand, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{stand.url}/v1/models", headers=headers, trust_env=False).status_code


def ask(stand: Stand, name: str, tokens: int = 3) -> None:
    with stand.client(name) as client:
        answer = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=tokens)
    assert answer.usage and answer.usage.completion_tokens == tokens


def retry_after_s(error: openai.RateLimitError) -> int:
    return int(error.response.headers["retry-after"])


def test_an_added_tenants_key_works_as_soon_as_it_is_printed(served: Stand) -> None:
    add(served, "acme")
    ask(served, "acme")
    assert {"acme", "default"} <= served.open_requests().keys()


def test_more_at_a_time_than_allowed_is_answered_429(served: Stand) -> None:
    add(served, "narrow", "--max-ongoing", "1")
    client = served.client("narrow")
    with closing(client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=500, stream=True)) as stream:
        next(iter(stream))
        with pytest.raises(openai.RateLimitError) as caught:
            ask(served, "narrow")
        assert retry_after_s(caught.value) >= 1
        ask(served, "default")
        done = served.fs("tenant", "set", "narrow", "--max-ongoing", "none")
        assert done.returncode == 0 and done.stderr == "Tenant narrow: no limits. In force now.\n"
        ask(served, "narrow")


def test_more_a_second_than_allowed_is_answered_429(served: Stand) -> None:
    add(served, "slow", "--rps", "0.2")
    ask(served, "slow")
    with pytest.raises(openai.RateLimitError) as caught:
        ask(served, "slow")
    assert 1 <= retry_after_s(caught.value) <= 5
    ask(served, "default")


def test_more_tokens_a_minute_than_allowed_are_answered_429(served: Stand) -> None:
    add(served, "thrifty", "--tokens-per-minute", "20")
    ask(served, "thrifty", tokens=40)  # known when it ends, so the next ones wait

    def is_refused() -> openai.RateLimitError | None:
        try:
            ask(served, "thrifty", tokens=1)
        except openai.RateLimitError as error:
            return error
        return None

    assert retry_after_s(wait_until(is_refused, 60, "the tokens are counted")) > 1
    ask(served, "default")


def test_with_a_grace_both_keys_work_and_then_only_the_new_one(served: Stand) -> None:
    old = add(served, "turning")
    new = rotate(served, "turning", "--grace", f"{GRACE_S}s")
    assert (status_with(served, old), status_with(served, new)) == (200, 200)
    listed = json.loads(served.fs("tenant", "list", "-o", "json").stdout)
    (row,) = [one for one in listed if one["name"] == "turning"]
    assert row["keys"] == 2 and row["earlier_keys_end"]
    wait_until(lambda: status_with(served, old) == 401, GRACE_S + 10, "the old key has ended")
    assert status_with(served, new) == 200
    audited = json.loads(served.fs("audit", "--subject", "tenant turning", "-o", "json").stdout)
    assert [one["action"] for one in audited] == ["tenant_added", "key_issued", "key_rotated", "key_ended"]
    assert audited[-1]["by"] == "controller"


def test_a_leaked_key_ends_at_once(served: Stand) -> None:
    old = add(served, "leaky")
    new = rotate(served, "leaky", "--grace", "0s")
    assert (status_with(served, old), status_with(served, new)) == (401, 200)


def test_a_revoked_key_is_401_in_openais_words_and_an_open_stream_ends_whole(served: Stand) -> None:
    add(served, "gone")
    with served.client("gone") as client:
        stream = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=300, stream=True)
        first = next(iter(stream))
        done = served.fs("tenant", "revoke", "gone", "--yes")
        assert done.returncode == 0 and done.stderr == "Revoked its key. In force now.\n"
        with pytest.raises(openai.AuthenticationError) as caught:
            ask(served, "gone")
        assert caught.value.code == "invalid_api_key"
        chunks = [first, *stream]
        assert chunks[-1].choices[0].finish_reason == "length"
    rotate(served, "gone")
    ask(served, "gone")


def test_a_removed_tenant_is_let_in_no_more_and_its_name_is_free(served: Stand) -> None:
    old = add(served, "brief")
    assert served.fs("tenant", "remove", "brief", "--yes").returncode == 0
    assert status_with(served, old) == 401
    assert add(served, "brief") != old
    assert status_with(served, old) == 401 and status_with(served, served.keys["brief"]) == 200


def test_the_key_alone_says_who_calls(served: Stand) -> None:
    add(served, "honest")
    names = ("X-Finsight-Tenant", "X-Tenant", "Tenant", "OpenAI-Organization")
    headers = {"Authorization": f"Bearer {served.keys['honest']}", **dict.fromkeys(names, "default")}
    before = used(served).get("default", 0)
    body = {"model": MODEL, "messages": QUESTION, "max_tokens": 3}
    answer = httpx.post(f"{served.url}/v1/chat/completions", json=body, headers=headers, trust_env=False)
    assert answer.status_code == 200
    wait_until(lambda: used(served).get("honest") == 1, 60, "the ledger has it")
    assert used(served).get("default", 0) == before


def used(stand: Stand) -> dict[str, int]:
    """Requests of this month by tenant."""
    rows = json.loads(stand.fs("tenant", "usage", "-o", "json").stdout)
    return {one["tenant"]: one["requests"] for one in rows}


def test_usage_is_what_the_client_was_told(served: Stand) -> None:
    add(served, "billed")
    with served.client("billed") as client:
        whole = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=6).usage
        stream = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=9, stream=True)
        pieces = sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in stream)
    assert whole and pieces == 9

    def row() -> dict[str, int] | None:
        shown = json.loads(served.fs("tenant", "show", "billed", "-o", "json").stdout)
        return next((one for one in shown["usage"] if one["requests"] == 2), None)

    found = wait_until(row, 60, "both are in the ledger")
    assert 6 + 9 <= found["completion_tokens"] <= 6 + 9 + 1, "a stream's last chunk may say no more than why it ended"
    assert (found["by_chunks"], found["uncounted"]) == (1, 0)
    assert found["prompt_tokens"] == whole.prompt_tokens


@pytest.mark.alike(2)
@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("add", "default"), "tenant default: is in fs.yaml already; `fs tenant rotate default` makes it a new key"),
        (("add", "No_Name"), "tenant No_Name: its name must be 1 to 40 of a-z, 0-9 and inner hyphens"),
        (("add", "more", "--deployment", "chap"), "tenant more: no deployment is named chap; did you mean chat?"),
        (("set", "default", "--rps", "1"), "tenant default: is in fs.yaml; change it there, then `fs apply`"),
        (("remove", "default", "--yes"), "tenant default: is in fs.yaml; take it out there, then `fs serve`"),
        (("rotate", "defaul"), "tenant defaul: not in this stack; did you mean default?"),
        (("rotate", "default", "--grace", "soon"), "Invalid value for '--grace': must be a time as"),
        (("rotate", "default", "--grace", "366d"), "tenant default: the earlier keys' grace must be from 0s to 365d"),
        (
            ("revoke", "default"),
            "nobody can be asked here: `fs tenant revoke default --yes` does it without a question",
        ),
        (("show", "defaul"), "tenant defaul: not in this stack; did you mean default?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_a_running_controller_refuses(served: Stand, command: tuple[str, ...], why: str) -> None:
    version = served.seen().route_version
    assert refused(served, "tenant", *command).startswith(f"fs: {why}")
    assert status_with(served, served.keys["default"]) == 200
    assert served.seen().route_version == version


def test_without_a_controller_it_is_stored_and_holds_when_one_is_back(stand: Stand) -> None:
    stand.write()
    serving = stand.serve()
    serving.process.terminate()
    serving.wait_ended()
    stored = "No controller runs: it is stored, and in force from the next `fs serve` on.\n"
    done = stand.fs("tenant", "add", "acme")
    assert done.returncode == 0 and done.stderr.endswith(stored)
    stand.keys["acme"] = done.stdout.strip()
    done = stand.fs("tenant", "revoke", "default", "--yes")
    assert done.returncode == 0 and done.stderr.endswith(stored)
    assert (status_with(stand, stand.keys["default"]), status_with(stand, stand.keys["acme"])) == (200, 401), (
        "nginx is as it was"
    )
    serving = stand.start().wait_ready()
    wait_until(lambda: status_with(stand, stand.keys["acme"]) == 200, 60, "the added key is let in")
    assert status_with(stand, stand.keys["default"]) == 401
    assert "  Key    fs-" not in serving.output, "a revoked tenant gets no key by being served again"
