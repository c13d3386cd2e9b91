"""Everything that is known to be secret is found, wherever it is known from."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from finsight_serve.controller.state import Durable, ReplicaKeys
from finsight_serve.plugin import KEY_HASHES_ENV, Artefact, Launch
from finsight_serve.stack.values import PluginRef, Tenant
from finsight_serve.support.known import (
    Known,
    known_of_artefacts,
    known_of_environment,
    known_of_files,
    known_of_options,
    known_of_settings,
    known_of_state,
    named_secret_files,
    secret_files,
)
from finsight_serve.support.secrecy import is_telling

from ..controller.worlds import stack

secrets = st.text(min_size=8, max_size=40).map(str.strip).filter(is_telling)
EMPTY = Launch(("serve",), "m:f")


def in_stack(options: dict[str, object]) -> Durable:
    plain = stack(("chat", "one"))
    (chat,) = plain.deployments
    return Durable(replace(plain, deployments=(replace(chat, engine=PluginRef("sim", options)),)))


STATES: dict[str, Callable[[str], Durable]] = {
    "replica key": lambda s: Durable(replica_keys={"chat": ReplicaKeys(s, "other", "")}),
    "earlier replica key": lambda s: Durable(replica_keys={"chat": ReplicaKeys("other", s, "")}),
    "environment": lambda s: Durable(launches={"chat": replace(EMPTY, env={"X": s})}),
    "argument": lambda s: Durable(launches={"chat": replace(EMPTY, argv=("serve", "--api-key", s))}),
    "option": lambda s: in_stack({"hub": {"hf_token": s}}),
    "option's environment": lambda s: in_stack({"env": {"X": s}}),
    "retired": lambda s: Durable(retired={"old": PluginRef("ray", {"password": s})}),
}


@given(secret=secrets, where=st.sampled_from(sorted(STATES)))
def test_of_the_state(secret: str, where: str) -> None:
    assert secret in known_of_state(STATES[where](secret)).searched()


@given(secrets)
def test_of_settings_environments_and_artefacts(secret: str) -> None:
    assert secret in known_of_settings({"a": [{"api_key": secret}]}).values
    assert secret in known_of_environment({"MY_TOKEN": secret, "PATH": "/bin"}).values
    for body in ({"X": secret}, {"data": {"X": secret}}, [{"password": secret}]):
        assert secret in known_of_artefacts([Artefact("a", body, secret=True)]).values
        assert known_of_artefacts([Artefact("a", body)]) == Known()


@given(st.from_regex(r"[\w+/=.~-]{12,40}", fullmatch=True))
def test_of_a_secret_text(secret: str) -> None:
    assume(is_telling(secret))
    text = f'map $sent_to $bearer {{\n    "d:chat" "Bearer {secret}";\n}}\n'
    assert secret in known_of_artefacts([Artefact("keys.conf", text, secret=True)]).values


def test_values_that_a_plugin_calls_plain_stay() -> None:
    launch = replace(EMPTY, env={"LEVEL": "debug-level-1", "X": "debug-level-2"}, plain_env=frozenset({"LEVEL"}))
    assert known_of_state(Durable(launches={"chat": launch})).values == {"debug-level-2"}


def test_names_are_no_secrets() -> None:
    durable = replace(
        in_stack({"env": {"MODEL": "llama-3-8b"}}), added_tenants={"t-1000-a": Tenant("t-1000-a", "chat")}
    )
    assert durable.stack is not None
    (chat,) = durable.stack.deployments
    durable = replace(durable, stack=replace(durable.stack, deployments=(replace(chat, model="llama-3-8b"),)))
    known = known_of_state(durable) | Known(frozenset({"t-1000-a", "k-1000-a"}))
    assert known.searched() == {"k-1000-a"}


def test_hashes_of_tenants_and_replicas_keys() -> None:
    one, two, three = (sha256(text).hexdigest() for text in (b"1", b"2", b"3"))
    launch = replace(EMPTY, env={KEY_HASHES_ENV: f"{two},{three}"}, plain_env=frozenset({KEY_HASHES_ENV}))
    durable = Durable(tenant_key_sha256={"acme": (one,), "gone": ()}, key_ends_s={two: 1.0}, launches={"chat": launch})
    assert known_of_state(durable).key_sha256 == {one, two, three}


def test_options_that_a_plugin_declares_secret_whatever_their_names() -> None:
    class Options(BaseModel):
        pin: SecretStr | None = None
        codes: list[SecretStr] = []
        width: int = 1

    schema = Options.model_json_schema()
    assert known_of_options({"pin": "letmein", "width": 1234567}, schema).values == {"letmein"}
    assert known_of_options({"codes": ["letme1n", "letme2n"]}, schema).values == {"letme1n", "letme2n"}


def test_secret_files_are_read_only_to_be_recognised(tmp_path: Path) -> None:
    (tmp_path / "backends" / "ray").mkdir(parents=True)
    (tmp_path / "backends" / "ray" / "auth_token").write_text("t0k3n-of-the-cluster\n")
    (tmp_path / "load_balancer").mkdir()
    (tmp_path / "load_balancer" / "upstream_keys.conf").write_text('map $x $y {\n "d:chat" "Bearer kX9vT22aqZ81";\n}\n')
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "token").write_text("n0-s3cr3t-of-ours")
    (tmp_path / "node.json").write_text('{"pid": 1}')
    values = known_of_files(secret_files(tmp_path)).values
    assert {"t0k3n-of-the-cluster", "kX9vT22aqZ81"} <= values and "n0-s3cr3t-of-ours" not in values


def test_files_that_settings_name(tmp_path: Path) -> None:
    settings = {"load_balancer": {"tls_certificate_key": "/etc/tls/key.pem", "listen": "127.0.0.1:1"}}
    settings |= {"backends": {"ray": {"auth_token_file": str(tmp_path / "token"), "kubeconfig": "~/.kube/config"}}}
    assert list(named_secret_files(settings)) == [Path("/etc/tls/key.pem"), tmp_path / "token"]


def test_what_can_not_be_read_is_no_secret_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "large.key").write_bytes(b"x1" * 100_000)
    (tmp_path / "folder.key").mkdir()
    paths = [tmp_path / name for name in ("large.key", "folder.key", "none.key")]
    assert known_of_files(paths) == Known()


def test_known_secrets_are_shown_to_nobody() -> None:
    assert "s3cr3t" not in repr(Known(frozenset({"s3cr3t"}), frozenset({"s3cr3t"})))
