"""What `fs logs` finds, and how much of it is shown."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from finsight_serve.cli.main import cli


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state, session = tmp_path / "s", tmp_path / "session"
    for path in (state / "logs", state / "backends" / "one" / "logs", session / "serve"):
        path.mkdir(parents=True)
    (state / "logs" / "controller.log").write_text("began\nready\n")
    (state / "logs" / "controller.log.1").write_text("of yesterday\n")
    (session / "serve" / "replica.log").write_text("loaded\n")
    (state / "backends" / "one" / "logs" / "session").symlink_to(session)
    return state


def logs(state: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["logs", *arguments, "--state", str(state)])


def test_all_also_those_that_a_link_leads_to(state: Path) -> None:
    shown = logs(state).stdout.splitlines()
    assert sorted(shown) == ["backends/one/session/serve/replica: loaded", "controller: began", "controller: ready"]


def test_those_of_a_name_and_their_last_lines(state: Path) -> None:
    assert logs(state, "controller", "--lines", "1").stdout == "controller: ready\n"
    assert logs(state, "replica").stdout == "backends/one/session/serve/replica: loaded\n"


def test_none_of_that_name(state: Path) -> None:
    found = logs(state, "nobody")
    assert (found.exit_code, found.stderr) == (2, f"fs: {state}: no log is named nobody\n")
