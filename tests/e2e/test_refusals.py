"""What `fs serve` can't do here: one line that says what and what to do, exit code 2, and nothing is left running."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import pytest

from .stand import Stand


def test_a_port_in_use_is_named_with_its_holder(stand: Stand) -> None:
    stand.write()
    with socket.create_server(("127.0.0.1", stand.port)):
        done = stand.fs("serve")
    assert done.returncode == 2, done.stdout
    (line,) = done.stderr.splitlines()
    assert f"port {stand.port} in use by " in line and f"(pid {os.getpid()})" in line
    stand.assert_nothing_runs()


def test_a_port_that_a_replica_needs_in_use(stand: Stand) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        stand.write(backend="here", backends={"here": {"orchestrator": "local", "ports": {"chat": port}}})
        done = stand.fs("serve")
    assert done.returncode == 2, done.stdout
    (line,) = done.stderr.splitlines()
    assert f"port {port}" in line and f"(pid {os.getpid()})" in line


def test_a_model_path_that_is_missing(stand: Stand) -> None:
    missing = stand.folder / "no-such-model"
    model = {"name": "chat", "model": str(missing), "engine": "vllm", "policy": {"min_replicas": 1, "max_replicas": 1}}
    stand.write(deployments=[model])
    done = stand.fs("serve")
    assert done.returncode == 2, done.stdout
    assert str(missing) in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    stand.assert_nothing_runs()


def test_several_mistakes_are_told_at_once(stand: Stand) -> None:
    stand.write(replicas=-1, engine_options={"token_intervall_s": 1}, balancer={"listen": "nowhere"})
    done = stand.fs("serve")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) >= 3 and all(line.startswith(f"fs: {stand.file}:") for line in lines), done.stderr
    assert "token_interval_s" in done.stderr
    assert not stand.state.exists()


def test_no_file(stand: Stand) -> None:
    done = stand.fs("serve")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"fs: {stand.file}: no such file; `fs init` writes one\n"


def test_a_state_path_too_long_for_a_socket(stand: Stand) -> None:
    stand.write()
    stand.state = stand.folder / ("s" * 120)
    done = stand.fs("serve")
    assert done.returncode == 2
    assert done.stderr.endswith("the path is too long for a unix socket; choose a shorter --state DIR\n")
    assert not stand.state.exists()


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small file system of its own; skips where this user may not have one."""
    folder.mkdir()
    mount = which("mount")
    done = subprocess.run([mount or "false", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    if os.geteuid() == 0:  # whom a file's mode does not stop
        with mounted(folder, "ro,size=1m"):
            yield folder
    else:
        folder.mkdir(mode=0o500)
        yield folder


def test_a_state_folder_that_is_read_only(stand: Stand) -> None:
    stand.write()
    with read_only(stand.folder / "ro") as folder:
        for state in (folder, folder / "deeper"):
            stand.state = state
            done = stand.fs("serve")
            assert done.returncode == 2, done.stdout
            (line,) = done.stderr.splitlines()
            assert str(folder) in line and "choose another with --state DIR" in line
        stand.state = stand.folder / "s"


def test_a_state_folder_on_a_full_disk(stand: Stand) -> None:
    stand.write()
    with mounted(stand.folder / "full", "size=64k") as folder:
        (folder / "filler").write_bytes(b"x" * 60_000)
        stand.state = folder / "s"
        done = stand.fs("serve")
        assert done.returncode == 2, done.stdout
        (line,) = done.stderr.splitlines()
        assert str(folder) in line and "full" in line.lower(), line
        stand.assert_nothing_runs()
        stand.state = stand.folder / "s"


def test_commands_before_anything_was_served(stand: Stand) -> None:
    stand.write()
    for command in (
        ("status",),
        ("logs",),
        ("tenant", "rotate", "default"),
        ("state", "backup", str(stand.folder / "b")),
    ):
        done = stand.fs(*command)
        assert done.returncode == 2, command
        assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr, command
    down = stand.fs("down")
    assert (down.returncode, down.stderr) == (0, "")
    assert not stand.state.exists()
