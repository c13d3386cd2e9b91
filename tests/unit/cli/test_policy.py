import subprocess
import sys
from importlib import import_module

import pytest
from click.testing import CliRunner

from finsight_serve.cli.main import cli
from finsight_serve.cli.policy import POLICY_COMMANDS


def test_help_lists_every_command_and_imports_none() -> None:
    code = (
        "import sys; from finsight_serve.cli.main import cli; cli(['policy', '--help'], standalone_mode=False);"
        "print(sorted(m for m in sys.modules if m.startswith('finsight_serve.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    listing, _, loaded = done.stdout.strip().rpartition("\n")
    for name, text in POLICY_COMMANDS.items():
        assert f"  {name} " in listing and text in listing
    assert loaded == (
        "['finsight_serve.cli', 'finsight_serve.cli.main', 'finsight_serve.cli.policy', 'finsight_serve.errors']"
    )


@pytest.mark.parametrize("name", POLICY_COMMANDS)
def test_each_command_is_there_with_the_help_that_is_listed(name: str) -> None:
    command = getattr(import_module(f"finsight_serve.cli.policy_{name}"), f"policy_{name}")
    assert command.short_help == POLICY_COMMANDS[name]
    assert command.name == name


def test_a_near_miss() -> None:
    result = CliRunner().invoke(cli, ["policy", "explian"])
    assert result.stderr.splitlines() == [
        "fs: no command named explian; did you mean explain?",
        "fs: try: cli policy --help",
    ]
    assert result.exit_code == 2
