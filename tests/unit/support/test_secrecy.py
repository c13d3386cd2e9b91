"""Which names and values are taken for secrets."""

import pytest

from finsight_serve.support.secrecy import (
    Secrecy,
    hides,
    is_telling,
    names_a_secret_file,
    secrecy,
    secret_words,
    secrets_in,
)


@pytest.mark.parametrize(
    ("name", "grade"),
    [
        *((name, "certain") for name in ("HF_TOKEN", "api_key", "apiKey", "--api-key", "db-password", "client.secret")),
        *(
            (name, "certain")
            for name in ("Authorization", "access_tokens", "AWS_SECRET_ACCESS_KEY", "token2", "dbpasswd")
        ),
        *((name, "likely") for name in ("key", "upstream_keys", "tls_certificate_key", "env", "environment", "auth")),
        *((name, "") for name in ("max_tokens", "tokenizer", "tokens_per_minute", "auth_token_file", "secretName")),
        *((name, "") for name in ("name", "keyed", "key_sha256", "token_interval_s", "environment_name", "PATH")),
    ],
)
def test_the_name_says_it(name: str, grade: Secrecy) -> None:
    assert secrecy(name) == grade


@pytest.mark.parametrize("value", [None, True, False, "/etc/tls/key.pem", "~/token.txt"])
def test_switches_and_paths_of_files_are_no_secrets(value: object) -> None:
    assert not hides("api_key", value)


def test_numbers_are_secrets_but_for_counts_of_tokens() -> None:
    assert hides("password", 12345678)
    assert not hides("max_token", 5) and not hides("key", 5)


@pytest.mark.parametrize(
    "value", ["WARNING", "finsight-serve", "nvidia.com/gpu", "127.0.0.1:8000", "/usr/lib/python3", "a1"]
)
def test_words_numbers_paths_and_what_is_short_are_not_looked_for(value: str) -> None:
    assert not is_telling(value)


def test_what_is_certain_is_looked_for_even_as_a_word() -> None:
    assert is_telling("letmein", "certain") and not is_telling("short", "certain")


def test_secrets_are_found_wherever_settings_hold_them() -> None:
    settings = {
        "engine_options": {
            "api-key": "one-1-one",
            "env": {"HF_TOKEN": "two-two", "LEVEL": "DEBUG", "X": "thr33-three"},
        },
        "argv": ["serve", "--hub-token", "four-four", "--password=five-five", "--port", "8000"],
        "env": [{"name": "DB_PASSWORD", "value": "sixsix"}, {"name": "LEVEL", "value": "INFORMATION"}],
        "sidecar": [{"name": "API_TOKEN", "value": "seven-7"}],
        "store": "redis://user:eight%208@host:6379/0",
        "secrets": ["nine-9-nine", {"deep": "ten-10-ten"}],
        "max_tokens": 12345678,
        "model": "llama-3-8b-instruct",
    }
    assert set(secrets_in(settings)) == {
        *("one-1-one", "two-two", "thr33-three", "four-four", "five-five", "sixsix", "seven-7"),
        *("eight%208", "eight 8", "nine-9-nine", "ten-10-ten"),
    }


def test_each_line_of_a_private_key_is_looked_for() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg1\nkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----\n"
    assert {"MIIEvQIBADANBg1", "kqhkiG9w0BAQEF"} <= set(secrets_in({"tls": {"private_key": key}}))


def test_words_of_a_secret_text_but_for_names() -> None:
    text = '# What nginx shows.\nmap "d:$sent_to" $auth {\n    "d:llama-3-8b" "Bearer kX9-vT_22aq";\n}'
    assert set(secret_words(text, frozenset({"llama-3-8b"}))) == {"kX9-vT_22aq"}


@pytest.mark.parametrize(
    "name", ["auth_token", "server.key", "cert.pem", "upstream_keys.conf", ".secret", "auth_token_file"]
)
def test_files_that_their_names_give_away(name: str) -> None:
    assert names_a_secret_file(name)


@pytest.mark.parametrize("name", ["state.db", "nginx.conf", "node.json", "error.log", "tenants.conf", "kubeconfig"])
def test_other_files(name: str) -> None:
    assert not names_a_secret_file(name)
