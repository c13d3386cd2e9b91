import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from finsight_serve.cli import main as module
from finsight_serve.cli.main import COMMANDS, cli
from finsight_serve.errors import UserError


def run(*argv: str) -> Result:
    return CliRunner().invoke(cli, argv)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> type[Exception]:
    """Makes `fs status` raise what is put into `raised`."""
    raised: list[BaseException] = []

    @click.command()
    def status() -> None:
        raise raised[0]

    monkeypatch.setattr(module, "import_module", lambda name, package: type("M", (), {"status": status}))
    return raised  # type: ignore[return-value]


def test_help_lists_every_command_and_imports_none() -> None:
    code = (
        "import sys; from finsight_serve.cli.main import cli; cli(['--help'], standalone_mode=False);"
        "print(sorted(m for m in sys.modules if m.startswith('finsight_serve.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    listing, _, loaded = done.stdout.strip().rpartition("\n")
    for name, text in COMMANDS.items():
        assert f"  {name} " in listing and text in listing
    assert loaded == "['finsight_serve.cli', 'finsight_serve.cli.main', 'finsight_serve.errors']"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_there_with_the_help_that_is_listed(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.short_help == COMMANDS[name]
    assert command.name == name


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        (["vaildate"], ["fs: no command named vaildate; did you mean validate?", "fs: try: cli --help"]),
        (["xyzzy"], ["fs: no command named xyzzy", "fs: try: cli --help"]),
        (["--bogus"], ["fs: No such option '--bogus'.", "fs: try: cli --help"]),
        (["validate", "--bogus"], ["fs: no such option: --bogus", "fs: try: cli validate --help"]),
        (["validate", "-f"], ["fs: Option '-f' requires an argument."]),
    ],
)
def test_wrong_usage(argv: list[str], lines: list[str]) -> None:
    result = run(*argv)
    assert result.stderr.splitlines() == lines
    assert (result.exit_code, result.stdout) == (2, "")


def test_no_command_shows_the_help() -> None:
    result = run()
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


def test_version() -> None:
    assert run("--version").stdout == "fs, version 0.1.0\n"


@pytest.mark.parametrize(
    ("error", "lines", "code"),
    [
        (UserError("first\nsecond"), ["fs: first", "fs: second"], 2),
        (OSError(errno.EROFS, "Read-only file system", "/state/x"), ["fs: /state/x: Read-only file system"], 2),
        (OSError(errno.ENOSPC, "No space left on device"), ["fs: No space left on device"], 2),
        (click.ClickException("it ended"), ["fs: it ended"], 1),
        (KeyError("a\nb"), ["fs: internal error: KeyError: 'a\\nb' (FS_DEBUG=1 shows where)"], 1),
        (KeyboardInterrupt(), ["", "fs: interrupted"], 130),
    ],
)
def test_errors_are_lines(failing: list[BaseException], error: BaseException, lines: list[str], code: int) -> None:
    failing.append(error)
    result = run("status")
    assert result.stderr.splitlines() == lines
    assert (result.exit_code, result.stdout) == (code, "")


def test_debugging_shows_the_traceback(failing: list[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FS_DEBUG", "1")
    failing.append(UserError("why"))
    result = run("status")
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.endswith("fs: why\n")


def test_ctrl_c_in_a_real_process() -> None:
    code = """
import click, finsight_serve.cli.main as m
@click.command()
def status():
    print("running", flush=True)
    import threading; threading.Event().wait(60)
m.import_module = lambda name, package: type("M", (), {"status": status})
m.cli(["status"])
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as fs:
        try:
            assert fs.stdout is not None and fs.stdout.readline() == "running\n"
            fs.send_signal(signal.SIGINT)
            _, errors = fs.communicate(timeout=10)
        finally:
            fs.kill()
    assert (fs.returncode, errors.strip()) == (130, "fs: interrupted")


def test_runs_as_a_module(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "finsight_serve", "validate"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, env=os.environ)
    assert done.returncode == 2
    assert done.stderr == "fs: fs.yaml: no such file; `fs init` writes one\n"
