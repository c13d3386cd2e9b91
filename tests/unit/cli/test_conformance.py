"""`fs conformance`: the kit over an installed plugin, in a process of its own, and what is reported of it."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from finsight_serve.cli import conformance_recorder, conformance_run
from finsight_serve.cli.conformance_report import make_report, write_report
from finsight_serve.cli.conformance_run import Check, Subject, run_checks
from finsight_serve.cli.main import cli
from finsight_serve.errors import UserError
from finsight_serve.host import Host

from ..foreign import Foreign
from .shipper import Shop

CHECKS = (
    Check("scaling_keeps_replicas", "passed", "", 1.25),
    Check("evict_replaces_that_one", "lacking", "acme lacks evict: it has no hands", 0.0),
    Check("name_is_a_word", "failed", "assert None | <b>", 0.1),
)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Subject]:
    """What the kit was asked to check; it answers CHECKS at once."""
    subjects: list[Subject] = []

    def run(subject: Subject) -> tuple[Check, ...]:
        subjects.append(subject)
        return CHECKS

    monkeypatch.setattr(conformance_run, "run_checks", run)
    return subjects


@pytest.fixture
def shop(tmp_path: Path, one_of_each: Foreign, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(tmp_path)
    return Shop(tmp_path, one_of_each)


def conformance(*argv: str) -> Result:
    return CliRunner().invoke(cli, ["conformance", *argv])


def test_a_line_for_each_check_and_1_where_one_failed(shop: Shop, told: list[Subject]) -> None:
    result = conformance("acme")
    assert result.stdout.splitlines() == [
        "passed   scaling_keeps_replicas",
        "lacking  evict_replaces_that_one: acme lacks evict: it has no hands",
        "failed   name_is_a_word: assert None | <b>",
        "acme: 1 passed, 1 lacking, 0 skipped, 1 failed",
    ]
    assert result.exit_code == 1


def test_a_backend_is_checked_with_the_options_of_its_file(shop: Shop, told: list[Subject]) -> None:
    conformance("shipper", "--shipper-world", "another", "--deadline", "30s")
    assert told == [Subject("shipper", "orchestrator", "shipper", {"world": "another"}, ORCHESTRATOR, 30.0)]
    conformance("shipper")
    assert told[-1].options == {"world": str(shop.folder / "world.json")}


ORCHESTRATOR = "OrchestratorConformance"


def test_a_backend_that_no_deployment_uses_is_checked_too(shop: Shop, told: list[Subject]) -> None:
    file = shop.folder / "fs.yaml"
    file.write_text(file.read_text().replace("acme: {orchestrator: acme}", "east: {orchestrator: acme, width: 3}"))
    conformance("east", "--east-mode", "slow")
    assert told == [Subject("east", "orchestrator", "acme", {"width": 3, "mode": "slow"}, ORCHESTRATOR, 120.0)]


def test_a_second_owner_may_need_an_option_of_its_own(shop: Shop, told: list[Subject]) -> None:
    conformance("acme", "--other", "width=4", "--other", "mode=slow")
    assert told[0].other == {"width": 4, "mode": "slow"}


def test_a_load_balancer_of_the_file(shop: Shop, told: list[Subject], one_of_each: Foreign) -> None:
    file = shop.folder / "fs.yaml"
    one_of_each.install_plugin("load_balancer", "edgy", EDGY)
    file.write_text(file.read_text() + "load_balancer: {plugin: edgy, listen: '127.0.0.1:8000'}\n")
    conformance("edgy")
    conformance("edgy", "--edgy-listen", "127.0.0.1:1", "--replica-host", "192.0.2.1")
    assert [(one.kind, one.kit, one.on_free_ports, one.replica_host) for one in told] == [
        ("load_balancer", "LoadBalancerConformance", ("listen",), "127.0.0.1"),  # the stack's own port is the stack's
        ("load_balancer", "LoadBalancerConformance", (), "192.0.2.1"),
    ]
    refused = conformance("edgy", "--other", "listen=127.0.0.1:2")
    assert (refused.exit_code, len(told)) == (2, 2)
    assert refused.stderr.startswith("fs: --other: edgy is no backend")


EDGY = """
from pydantic import BaseModel, ConfigDict, Field
from finsight_serve.plugin import hookimpl

class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    listen: str = Field("127.0.0.1:8000", description="where it listens")

class Edgy:
    name, Options, lacks, on_this_machine, url = "edgy", Options, {}, True, ""
    def check(self): ...
    def compile(self, want): ...
    async def apply(self, plan): ...
    def observe(self): ...
    def requests(self, after): ...

@hookimpl
def load_balancer():
    return Edgy
"""


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (("acm",), "no backend and no load balancer is named acm; there are acme, shipper; did you mean acme?"),
        (("acme", "-f", "none.yaml"), "none.yaml: no such file; `fs init` writes one"),
        (("acme", "--report", "r.pdf"), "r.pdf: a report is written as .html or .md: name the file so"),
        (("acme", "--report", "no/r.md"), "no/r.md: no is no folder; make it first"),
        (
            ("acme", "--shipper-world", "w"),
            "backends.shipper.world: only acme is checked, and takes --acme-OPTION VALUE",
        ),
        (("acme", "--acme-width", "0"), "acme: option width: Input should be greater than or equal to 1"),
        (("acme", "--acme-height", "0"), "acme: option height: Extra inputs are not permitted"),
        (("acme", "--no-such"), "no such option: --no-such"),
        (("acme", "--other", "width"), "--other: must be OPTION=VALUE, found width"),
        (("acme", "--other", "width=0"), "acme: option width: Input should be greater than or equal to 1"),
        (
            ("acme", "--replica-host", "192.0.2.1"),
            "--replica-host: acme is no load balancer, and starts its replicas itself",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_is_a_line(shop: Shop, told: list[Subject], argv: tuple[str, ...], line: str) -> None:
    result = conformance(*argv)
    assert (result.exit_code, result.stdout, told) == (2, "", [])
    assert result.stderr.splitlines()[0] == f"fs: {line}"


def test_without_pytest_it_says_what_brings_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance_run, "NEEDED", ("pytest", "no_such_module"))
    result = conformance("acme")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "fs: the conformance kit needs no_such_module: pip install 'finsight-serve[testing]' brings them\n"
    )


def test_json_is_one_document(shop: Shop, told: list[Subject]) -> None:
    result = conformance("acme", "-o", "json")
    found = json.loads(result.stdout)
    assert [check["outcome"] for check in found["checks"]] == ["passed", "lacking", "failed"]
    assert found["about"]["plugin"] == "orchestrator acme of finsight-orchestrator-acme 1.0"


@pytest.mark.parametrize("name", ["report.md", "report.html"])
def test_a_report_says_what_was_checked_and_no_secret(shop: Shop, name: str) -> None:
    options = {"address": "somewhere", "token": "a-secret", "width": 2, "mode": "fast"}
    subject = Subject("acme", "orchestrator", "acme", options, ORCHESTRATOR, 1.0)
    path = shop.folder / name
    write_report(path, make_report(subject, Host(), CHECKS, 0.0))
    text = path.read_text()
    assert "a-secret" not in text
    assert "address: somewhere, token: (hidden), width: 2" in text
    for part in ("1970-01-01 00:00 UTC", "finsight-orchestrator-acme 1.0", "1 passed, 1 lacking, 0 skipped, 1 failed"):
        assert part in text
    assert ("<b>" in text) == name.endswith("md")
    assert "assert None \\| <b>" in text or name.endswith("html")


def test_a_report_names_what_it_ran_on_and_no_path(shop: Shop) -> None:
    subject = Subject("acme", "orchestrator", "acme", {"address": "/home/me/socket"}, ORCHESTRATOR, 1.0)
    told = make_report(subject, Host(), CHECKS, 0.0, "Acme 3 | Linux").about
    assert (told["ran on"], told["options"]) == ("Acme 3 | Linux", "address: (hidden)")
    write_report(shop.folder / "r.md", make_report(subject, Host(), CHECKS, 0.0, "Acme 3 | Linux"))
    lines = (shop.folder / "r.md").read_text().splitlines()
    assert lines[:3] == ["# Conformance of acme", "", "1 passed, 1 lacking, 0 skipped, 1 failed"]
    assert ["Acme 3 \\| Linux" in line for line in lines].count(True) == 1
    rows = [line.replace(" ", "") for line in lines]
    assert "|evict_replaces_that_one|lacking|acmelacksevict:ithasnohands|0.0|" in rows


@pytest.mark.parametrize(
    ("why", "outcome"),
    [("acme lacks evict: it has no hands", "lacking"), ("its replicas are on another machine", "skipped")],
)
def test_what_a_plugin_says_that_it_lacks_is_told_from_what_was_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str, outcome: str
) -> None:
    monkeypatch.setenv(conformance_recorder.TO_ENV, str(tmp_path / "record"))
    skipped = SimpleNamespace(
        when="call",
        passed=False,
        skipped=True,
        failed=False,
        outcome="skipped",
        duration=0.0,
        nodeid="x::test_evict",
        longrepr=("kit.py", 1, f"Skipped: {why}"),
    )
    conformance_recorder.pytest_runtest_logreport(skipped)
    line = {"check": "evict", "outcome": outcome, "why": why, "duration_s": 0.0}
    assert json.loads((tmp_path / "record").read_text()) == line


def test_the_kit_is_run_by_pytest_in_a_process_of_its_own(tmp_path: Path) -> None:
    """One plugin that is really installed: what the kit says of it, check by check."""
    options = {"drain_delay_s": "not a number"}
    checks = list(run_checks(Subject("local", "orchestrator", "local", options, "RendererConformance", 1.0)))
    outcomes = {check.check: check.outcome for check in checks}
    assert outcomes["name_is_a_word"] == "passed"
    failed = next(check for check in checks if check.check == "it_says_that_it_lacks_apply")
    assert (failed.outcome, "assert" in failed.why) == ("failed", True)
    broken = next(check for check in checks if check.check == "compile_is_pure")
    assert broken.outcome == "failed" and "drain_delay_s" in broken.why


def test_a_kit_that_can_not_run_is_a_line_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"the checks of local can't be run:\n(.*\n)*.*NoSuchConformance"):
        list(run_checks(Subject("local", "orchestrator", "local", {}, "NoSuchConformance", 1.0)))
    assert "FS_CONFORMANCE_RECORD" not in os.environ
