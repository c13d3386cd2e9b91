"""No secret survives, and what is none does."""

import base64
import json
import time
from hashlib import sha256
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from finsight_serve.support.redaction import REMOVED, Redactor

HEX = sha256(b"fs-key-of-a-tenant-1").hexdigest()
BLIND = Redactor()
"""Knows no secret: it goes by names and forms."""

secrets = st.text(min_size=8, max_size=60).filter(lambda text: REMOVED not in text and text not in REMOVED)
around = st.text(max_size=30)


def spellings(value: str) -> tuple[str, ...]:
    encoded = value.encode()
    quoted = (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1])
    return (value, *quoted, quote(value), quote(value, safe=""), base64.b64encode(encoded).decode())


@given(secrets, around, around)
def test_a_known_value_is_in_no_text_however_it_is_spelt(secret: str, before: str, after: str) -> None:
    redactor = Redactor({secret})
    for spelling in spellings(secret):
        assert spelling not in redactor.text(f"{before}\n{spelling}\n{after}")


@given(st.lists(secrets, min_size=2, max_size=4), around)
def test_values_that_hold_each_other(some: list[str], between: str) -> None:
    some = [*some, some[0] + some[1]]
    text = Redactor(some).text(between.join([*some, *reversed(some)]))
    assert [one for one in some if one in text.replace(REMOVED, "\n")] == []


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
)


@given(secrets, st.text(max_size=8), values)
def test_a_known_value_is_in_no_json(secret: str, name: str, other: object) -> None:
    value = {name: [secret, {secret: other}], "more": {"text": f"{name}{secret}{name}"}, "other": other}
    text = Redactor({secret}).json(value)
    assert secret not in text and json.dumps(secret)[1:-1] not in text


@given(
    st.sampled_from(["password", "HF_TOKEN", "api_key", "clientSecret"]),
    st.text(min_size=1).filter(lambda t: t not in REMOVED),
    values,
)
def test_what_stands_beside_a_secrets_name_is_in_no_json(name: str, secret: str, other: object) -> None:
    marked = f"<{secret}>"  # so that it can't be a part of the rest
    assume(marked not in json.dumps(other, ensure_ascii=False))
    text = BLIND.json({"options": {name: marked, "deep": {name: [marked, {"x": marked}]}}, "other": other})
    assert marked not in text and json.loads(text)["options"][name] == REMOVED


def test_an_integer_that_is_a_known_value() -> None:
    assert json.loads(Redactor({"12345678"}).json({"pin": 12345678, "port": 8000})) == {"pin": REMOVED, "port": 8000}


SECRET = "kX9vT22aqZ81"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"authorization: Basic {base64.b64encode(f'user:{SECRET}'.encode()).decode()}",
        f"headers={{'Authorization': 'Token {SECRET}', 'accept': '*/*'}}",
        f"(b'authorization', b'Bearer {SECRET}')",
        f'{{"headers": {{"X-Api-Key": "{SECRET}"}}}}',
        f"Cookie: session={SECRET}; other=1",
        f"curl -H 'authorization: bearer {SECRET}' http://host",
        f"connecting to redis://user:{SECRET}@host:6379/0",
        f"https://{SECRET}@hub.example/model",
        f"GET /v1?api_key={SECRET}&x=1",
        f"GET /blob?x=1&sig={SECRET} HTTP/1.1",
        f"HF_TOKEN={SECRET} vllm serve",
        f"export HF_TOKEN='{SECRET}'",
        f'"hf_token": "{SECRET}"',
        f'{{\\"password\\": \\"{SECRET} with blanks\\", \\"x\\": 1}}',
        f"db_password: {SECRET}",
        f"vllm serve --api-key {SECRET} --port 1",
        f"vllm serve --api-key={SECRET}",
        f"{{'client_secret': '{SECRET}'}}",
        f"hf_{SECRET}{SECRET} is no token",
        f"sk-proj-{SECRET}{SECRET}",
        f"fs-{SECRET * 4}",
        f"eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n{SECRET}\n-----END RSA PRIVATE KEY-----",
        f'"key": "-----BEGIN PRIVATE KEY-----\\nMIIE\\n{SECRET}\\n-----END PRIVATE KEY-----\\n"',
        f"-----BEGIN PRIVATE KEY-----\nMIIE\n{SECRET}",
        f"{SECRET}MIIE\n{SECRET}\n-----END EC PRIVATE KEY-----",
    ],
)
def test_forms_of_secrets_that_nobody_knows(text: str) -> None:
    for where in (text, f"12:00:00  {text}\n12:00:01  ready\n"):
        redacted = BLIND.text(where)
        assert SECRET not in redacted and REMOVED in redacted


@pytest.mark.parametrize(
    "text",
    [
        "12:00:00  routes_changed  7  2 ready replicas routed; acme: chat 90 %, chat-local 10 %",
        "http://127.0.0.1:8000/v1/chat/completions answered 503",
        "max_tokens=512, prompt_tokens: 12, tokens_from: usage",
        "proxy_set_header Authorization $upstream_authorization;",
        '    "~^Bearer (?<key>.+)$" $key;',
        f"image sha256:{HEX}",
        "k8s://1a2b3c4d/serving/chat:8000",
        "user@host: password is asked for by the hub",
        "keyboard: qwerty; monkeys = 12",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert BLIND.text(text) == text


def test_whole_hashes_of_keys_become_fingerprints_and_other_hashes_stay() -> None:
    other = sha256(b"an image").hexdigest()
    text = Redactor((), {HEX}).text(f"map {HEX} acme; image {other}")
    assert text == f"map {HEX[:8]}{REMOVED} acme; image {other}"


@given(st.from_regex(r"[A-Za-z0-9_]{20,60}", fullmatch=True))
def test_a_key_is_known_by_its_hash(key: str) -> None:
    redactor = Redactor((), {sha256(key.encode()).hexdigest()})
    assert redactor.text(f'Bad key "{key}", again {key}.') == f'Bad key "{REMOVED}", again {REMOVED}.'


def test_where_not_all_is_known_everything_with_a_keys_form_goes() -> None:
    key = "p2DfrFSRrHfYFqjLLX9j0Q7XSUk4ptjdDQdp"
    assert key in Redactor().text(f"request {key}")
    assert Redactor(is_sure=False).text(f"request {key} to chat") == f"request {REMOVED} to chat"


def test_json_stays_json_and_keeps_what_is_told() -> None:
    given = {
        "name": "chat",
        "has_key": True,
        "api_key": None,
        "env": {"LEVEL": "x"},
        "argv": ["--api-key", "a", "--port", "1"],
    }
    assert json.loads(BLIND.json(given)) == {
        **given,
        "env": {"LEVEL": REMOVED},
        "argv": ["--api-key", REMOVED, "--port", "1"],
    }


def test_an_environment_as_a_list_keeps_its_names() -> None:
    given = {
        "env": [{"name": "A", "value": "x"}],
        "other": [{"name": "MY_TOKEN", "value": "x"}, {"name": "A", "value": "x"}],
    }
    assert json.loads(BLIND.json(given)) == {
        "env": [{"name": "A", "value": REMOVED}],
        "other": [{"name": "MY_TOKEN", "value": REMOVED}, {"name": "A", "value": "x"}],
    }


def test_a_redactor_shows_nobody_what_it_knows() -> None:
    assert SECRET not in repr(Redactor({SECRET}))


@pytest.mark.parametrize(
    "word", ["A1", "a", "-", "=", "/", " ", "--token ", "password:", "://", "-----END PRIVATE KEY-----"]
)
def test_long_texts_take_a_time_that_grows_with_them(word: str) -> None:
    """A rule that backtracks would take minutes."""
    text = word * (400_000 // len(word))
    began_s = time.process_time()
    Redactor(("kX9vT22aqZ81",), {HEX}, is_sure=False).text(text)
    assert time.process_time() - began_s < 20
