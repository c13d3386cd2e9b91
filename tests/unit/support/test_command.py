"""`fs support-bundle` over a state folder without a running stack."""

import json
import os
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from finsight_serve.cli import support_bundle, support_parts
from finsight_serve.cli.main import cli
from finsight_serve.controller.client import Unanswered
from finsight_serve.controller.facts import TenantAdded, TenantKeyIssued
from finsight_serve.domain import Event
from finsight_serve.plugin import Kind, Launch, Request
from finsight_serve.stack.values import PluginRef, Tenant
from finsight_serve.store import store as stores
from finsight_serve.support.bundle import ROOT
from finsight_serve.support.redaction import REMOVED
from finsight_serve.support.secrecy import is_telling

from ..cli.served import Served
from ..foreign import ACTUATOR, PLUGIN, Foreign
from .conftest import installed

TARGET = "b.tar.gz"
STACK = """
name: test
backend: one
backends: {{one: {{orchestrator: acme{options}}}}}
load_balancer: acme
deployments: [{{name: chat, model: a-model, engine: acme}}]
"""


def unpacked(target: Path = Path(TARGET)) -> dict[str, bytes]:
    with tarfile.open(target) as archive:
        files = {entry.name.removeprefix(f"{ROOT}/"): archive.extractfile(entry) for entry in archive}
        return {name: file.read() for name, file in files.items() if file}


def made(served: Served, *argv: str) -> dict[str, Any]:
    """What is in it, JSON as values."""
    result = served.fs("support-bundle", "-o", TARGET, *argv)
    assert result.exit_code == 0, result.output
    files = unpacked()
    return {name: json.loads(data) if name.endswith(".json") else data.decode() for name, data in files.items()}


def missing(files: Mapping[str, Any]) -> dict[str, str]:
    return {one["what"]: one["why"] for one in files["manifest.json"]["missing"]}


def log(served: Served, text: str, name: str = "controller.log") -> None:
    (served.folder / "logs").mkdir(exist_ok=True)
    (served.folder / "logs" / name).write_text(text)


@pytest.mark.anyio
async def test_everything_that_can_be_had_without_a_controller(served: Served, tmp_path: Path) -> None:
    (tmp_path / "fs.yaml").write_text(STACK.format(options=", width: 3"))
    log(served, "12:00:00  reachable  one\n")
    await served.note(Request("1", "r1", "acme", "chat", "127.0.0.1:1", 200, "complete", 1.0, 2.0, 0.5))
    files = made(served)
    assert set(files) == {
        *(
            "versions.json",
            "plugins.json",
            "status.json",
            "events.json",
            "audit.json",
            "migrations.json",
            "routes.json",
        ),
        *("configuration/served.json", "configuration/file.json", "configuration/loaded.json", "ledger.json"),
        *("doctor/installation.json", "doctor/stack.json", "logs/logs/controller.log", "manifest.json"),
    }
    assert files["status.json"]["stack"]["controller"] == "not running"
    assert files["configuration/file.json"]["backends"]["one"]["width"] == 3
    assert [row["requests"] for row in files["ledger.json"]["ever"]] == [1] and files["ledger.json"]["last_hour"] == []
    assert {one["kind"] for one in files["events.json"]} >= {"stack_chosen"} and files["audit.json"] == []
    assert {row["tenant"] for row in files["routes.json"]["tenants"]} == {"acme", "beta"}
    assert {row["distribution"] for row in files["plugins.json"]} >= {"finsight-engine-acme"}
    assert any(line.startswith("finsight-serve ") for line in files["versions.json"]["distributions"])
    manifest = files["manifest.json"]
    assert (manifest["stack"], manifest["sure"]) == ("test", True)
    assert {one["path"] for one in manifest["files"]} == set(files) - {"manifest.json"}
    assert missing(files)["metrics.txt"] == "no controller runs"


def test_its_name_says_whose_it_is_and_when(served: Served, tmp_path: Path) -> None:
    result = served.fs("support-bundle")
    assert result.exit_code == 0 and result.stderr == ""
    (target,) = tmp_path.glob("fs-support-test-*Z.tar.gz")
    assert f"Wrote {target.name}: " in result.stdout
    assert target.stat().st_mode & 0o777 == 0o600


SECRETS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("Cs", "Cc")), min_size=10, max_size=40
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secret=SECRETS, key=st.from_regex(r"[A-Za-z0-9_]{24,40}", fullmatch=True))
def test_secrets_planted_everywhere_are_in_no_byte(served: Served, tmp_path: Path, secret: str, key: str) -> None:
    assume(is_telling(secret) and REMOVED not in secret)
    tell = "\n".join([secret, key, json.dumps({"a": secret}), repr(secret), f"Authorization: Bearer {key}", ""])

    def plant(durable: Any) -> Any:
        chat, *others = durable.stack.deployments
        options = {"address": secret, "token": secret}
        stack = replace(
            durable.stack,
            backends={**durable.stack.backends, "one": PluginRef("acme", options)},
            deployments=(replace(chat, engine=PluginRef("acme", {"token": secret})), *others),
        )
        launch = Launch(("serve", "--api-key", secret), "m:app", env={"HUB": secret, "HF_TOKEN": secret})
        hashes = {"acme": (sha256(key.encode()).hexdigest(),)}
        return replace(durable, stack=stack, launches={**durable.launches, "chat": launch}, tenant_key_sha256=hashes)

    served.change(plant)
    served.write(served.state, Event(1.0, "apply_failed", "one", tell, {"said": tell}))
    log(served, tell)
    log(served, tell, "error.log.1")
    (served.folder / "auth_token").write_text(f"{key}\n")
    (served.folder / "prompts.txt").write_text(tell)
    document = {"name": "test", "backend": "one", "backends": {"one": {"orchestrator": "acme", "token": secret}}}
    document |= {"deployments": [{"name": "chat", "model": "m", "engine": "acme", "engine_options": {"address": tell}}]}
    (tmp_path / "fs.yaml").write_text(json.dumps(document))
    made(served, "--force")
    for name, data in unpacked().items():
        for planted in (secret, key, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
            assert planted not in data.decode(), name
    hashed = sha256(key.encode()).hexdigest()
    assert not any(hashed.encode() in data for data in unpacked().values())


def test_secrets_that_two_tenants_keys_and_replicas_keys_are(served: Served) -> None:
    served.hear(TenantAdded(Tenant("new", "chat"), "me"), TenantKeyIssued("new", sha256(b"k").hexdigest(), 0.0, "me"))
    log(served, "sent current-chat-1 and previous-new-1")
    assert made(served)["logs/logs/controller.log"] == f"sent {REMOVED} and {REMOVED}"


def test_a_controller_that_hangs(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(_: object) -> None:
        raise Unanswered("its controller runs and has not answered for 10 s")

    monkeypatch.setattr(support_parts.Client, "status", hang)
    monkeypatch.setattr(support_parts.Client, "metrics", hang)
    files = made(served)
    assert files["status.json"]["stack"]["name"] == "test"
    assert files["status.json"]["stack"]["controller"] == "does not answer"
    why = missing(files)
    assert "has not answered for 10 s; status.json is what was stored last" in why["the running controller's status"]
    assert "has not answered" in why["metrics"]


KEY_LIKE = "p2DfrFSRrHfYFqjLLX9j0Q7XSUk4ptjdDQdp"


def test_where_the_state_is_damaged_what_looks_like_a_key_goes(served: Served) -> None:
    (served.folder / stores.FILE_NAME).write_bytes(
        b"no database, but long enough to be read as the header of one " * 40
    )
    log(served, f"sent {KEY_LIKE} at noon")
    files = made(served)
    assert files["manifest.json"]["sure"] is False
    assert files["logs/logs/controller.log"] == f"sent {REMOVED} at noon"
    assert "is damaged" in missing(files)["secrets of the state"] and "is damaged" in missing(files)["status"]


def test_a_file_that_is_wrong_is_told_of_and_what_looks_like_a_key_goes(served: Served, tmp_path: Path) -> None:
    (tmp_path / "fs.yaml").write_text("name: [\n")
    log(served, f"sent {KEY_LIKE} at noon")
    files = made(served)
    assert "not valid YAML" in missing(files)["configuration"] and KEY_LIKE not in str(files)
    assert files["configuration/served.json"]["name"] == "test"


def install(foreign: Foreign, observe: str) -> None:
    """An orchestrator `acme` whose `observe` does this."""
    members = ACTUATOR.replace("        yield\n", f"        {observe}\n        yield\n")
    source = PLUGIN.format(name="acme", kind="orchestrator", members=members)
    foreign.install_plugin("orchestrator", "acme", "import sys, threading\nFREE = threading.Event()\n" + source)
    for kind in get_args(Kind):
        if kind not in ("orchestrator", "events"):
            foreign.install_plugin(kind, "acme")


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "s"


def test_a_plugin_that_raises_or_exits(foreign: Foreign, beside: Path) -> None:
    install(foreign, "sys.exit('gone')")
    served = Served(beside)
    served.change(installed)
    files = made(served)
    assert missing(files)["backend one"] == missing(files)["backend two"] == "SystemExit: gone"
    assert "load-balancer/observed.json" not in files and files["status.json"]


def test_a_plugin_that_hangs(foreign: Foreign, beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    monkeypatch.setattr(support_bundle, "_leave", lambda: left.append(1))
    monkeypatch.setattr(support_parts, "LOOK_S", 0.5)
    install(foreign, "FREE.wait(60)")
    served = Served(beside)
    served.change(installed)
    why = missing(made(served))
    assert why["backend one"] == why["backend two"] == "no end within 1 s"
    assert left == [1], "the command does not wait for its threads"
    sys.modules["foreign_orchestrator_acme"].FREE.set()


def refused(*argv: str) -> str:
    before = sorted(Path.cwd().iterdir())
    result: Result = CliRunner().invoke(cli, ["support-bundle", *argv])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert sorted(Path.cwd().iterdir()) == before
    (line,) = result.stderr.splitlines()
    return line


def test_what_is_there_is_replaced_only_when_it_is_told(served: Served, tmp_path: Path) -> None:
    Path(TARGET).write_text("mine")
    argv = ("--state", str(served.folder), "-o", TARGET)
    assert refused(*argv) == f"fs: {TARGET}: is there already; --force replaces it"
    assert Path(TARGET).read_text() == "mine"
    assert made(served, "--force")
    assert Path(TARGET).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("b.zip", "must end in .tar.gz"),
        ("none/b.tar.gz", "is no folder; make it first"),
        ("folder.tar.gz", "is a folder; give another name"),
        ("/proc/b.tar.gz", "can't be written"),
    ],
)
def test_targets_that_will_not_do(served: Served, output: str, said: str) -> None:
    Path("folder.tar.gz").mkdir()
    assert said in refused("--state", str(served.folder), "-o", output)


def test_a_link_is_not_written_through(served: Served, tmp_path: Path) -> None:
    Path(TARGET).symlink_to(tmp_path / "elsewhere")
    assert "is there already" in refused("--state", str(served.folder), "-o", TARGET)
    assert made(served, "--force")
    assert not Path(TARGET).is_symlink() and not (tmp_path / "elsewhere").exists()


def test_a_disk_that_is_full_leaves_nothing(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    line = refused("--state", str(served.folder), "-o", TARGET)
    assert "can't be written (No space left on device)" in line


def test_where_there_is_no_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused() == "fs: fs.yaml: no such file; `fs init` writes one"
    line = refused("--state", str(tmp_path / "s"))
    assert (
        line == f"fs: fs.yaml: no such file, and nothing was served from {tmp_path / 's'}; give -f FILE or --state DIR"
    )


def test_a_stack_that_was_never_served_has_a_bundle(
    tmp_path: Path, one_of_each: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fs.yaml").write_text(STACK.format(options=""))
    result = CliRunner().invoke(cli, ["support-bundle", "--state", str(tmp_path / "s"), "-o", TARGET])
    assert result.exit_code == 0, result.output
    files = unpacked()
    assert json.loads(files["configuration/loaded.json"])["name"] == "test"
    assert "nothing was served" in str(json.loads(files["manifest.json"])["missing"])
    assert not (tmp_path / "s").exists()
