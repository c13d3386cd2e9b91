"""`fs drill` before anything is started."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from finsight_serve.cli.main import cli
from finsight_serve.drill import folder
from finsight_serve.drill.catalogue import DRILLS, NOT_DRILLED, ON_A_SERVICE
from finsight_serve.drill.faults import window
from finsight_serve.drill.load import outcome_of

from ..cli.served import Served
from ..foreign import Foreign


def run(*argv: str) -> Result:
    return CliRunner().invoke(cli, ["drill", *argv])


def refused(*argv: str) -> str:
    done = run(*argv)
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.splitlines()
    return line


def test_without_a_name_it_lists_them() -> None:
    listed = json.loads(run("-o", "json").stdout)
    assert [one["drill"] for one in listed["drills"]] == [one.name for one in DRILLS]
    assert {one["section"]: one["why"] for one in listed["not drilled"]} == dict(NOT_DRILLED)


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("something was made")

    monkeypatch.setattr(folder, "make", fail)


@pytest.mark.usefixtures("nothing_starts")
class TestRefusals:
    def test_a_name_that_is_none(self) -> None:
        assert refused("contoller-down") == (
            "fs: no drill is named contoller-down; did you mean controller-down?; `fs drill` lists them"
        )

    def test_a_section_that_is_not_drilled(self) -> None:
        assert refused("oscillation").startswith(f"fs: oscillation is not drilled: {NOT_DRILLED['oscillation']}")

    def test_a_report_of_another_kind(self) -> None:
        assert refused("disk-full", "--report", "x.pdf") == "fs: --report x.pdf: its name must end in .html or .md"

    def test_a_report_nowhere(self, tmp_path: Path) -> None:
        assert "is no folder" in refused("disk-full", "--report", str(tmp_path / "none" / "x.md"))

    def test_a_backend_that_is_none(self) -> None:
        assert "no orchestrator named acme is installed" in refused("disk-full", "--backend", "acme")

    def test_a_stack_that_has_tenants(self, tmp_path: Path, one_of_each: Foreign) -> None:
        there = Served(tmp_path / "s")
        before = (there.folder / "state.db").read_bytes()
        assert refused("disk-full", "--state", str(there.folder)) == (
            "fs: stack test serves 2 tenants, and a drill breaks what it runs on: `--yes-on test` if that is meant"
        )
        assert (there.folder / "state.db").read_bytes() == before

    def test_a_folder_for_its_state(self, tmp_path: Path) -> None:
        assert refused("--all", "--state", str(tmp_path / "s")).endswith("a drill makes a service of its own")
        assert not (tmp_path / "s").exists()

    @pytest.mark.parametrize("names", [[], ["disk-full"], ["controller-down", "disk-full"]], ids=" ".join)
    def test_what_is_too_much_for_a_stack_with_tenants(self, names: list[str]) -> None:
        able = ", ".join(one.name for one in ON_A_SERVICE)
        assert refused("--all", *names, "--yes-on", "test") == (
            f"fs: --yes-on test: of all drills it takes {able}; name which"
        )

    def test_a_backend_beside_a_stack(self) -> None:
        assert refused("controller-down", "--backend", "acme", "--yes-on", "test").startswith(
            "fs: --backend acme: with --yes-on it is the backend of"
        )

    def test_no_prometheus(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        assert refused("disk-full").startswith("fs: prometheus is not installed, whose alerts a drill waits for: ")


def test_a_window_opens_to_the_second() -> None:
    at_s = 1_800_000_010.0  # 2027-01-15 08:00:10 UTC
    assert window(3, at_s) == {
        "name": "drilled",
        "cron": {"start": "1 8 * * *", "end": "31 8 * * *", "timezone": "UTC"},
        "min_replicas": 3,
        "lead_s": 50.0,
    }


@pytest.mark.parametrize(
    ("status", "tail", "why", "outcome"),
    [
        (200, b"x\n\ndata: [DONE]\n\n", "", "complete"),
        (200, b"data: {}", "", "truncated"),
        (200, b"data: [DONE]", "reset", "truncated"),
        (200, b"", "", "failed"),
        (503, b"busy", "", "failed"),
        (429, b"slow down", "", "turned_away"),
        (0, b"", "refused", "failed"),
    ],
)
def test_how_an_answer_ended(status: int, tail: bytes, why: str, outcome: str) -> None:
    assert outcome_of(status, tail, why) == outcome
