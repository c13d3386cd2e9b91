"""Prompts, answers and keys reach no disk and no log."""

import signal
import tarfile
from collections.abc import Iterator
from contextlib import suppress

import httpx
import psutil

from .canary import CANARY, files_with, send_canaries
from .stand import MODEL, Stand
from .waiting import wait_until


def test_a_canary_is_found_nowhere(stand: Stand) -> None:
    stand.write(replicas=2, engine_options={"token_interval_s": 0.05})
    serving = stand.serve()
    send_canaries(stand)
    large = [{"role": "user", "content": f"{CANARY} " * 200_000}]  # below the limit, above what fits a small buffer
    with stand.client() as client:
        stream = client.chat.completions.create(model=MODEL, messages=large, max_tokens=10_000, stream=True)
        next(iter(stream))
        assert list(files_with(stand.folder, CANARY)) == [], "while a stream is open"
        stream.response.close()
    wait_until(lambda: stand.open_requests() == {"default": 0}, 60, "the stream is gone")
    assert list(files_with(stand.folder, CANARY)) == []
    serving.process.send_signal(signal.SIGINT)
    serving.wait_ended()
    assert list(files_with(stand.folder, CANARY)) == []


def test_keys_are_shown_once_and_in_no_argument_or_environment(stand: Stand) -> None:
    stand.write()
    serving = stand.serve()
    key, replica_key = stand.keys["default"], stand.replica_key()
    assert [path for path in files_with(stand.folder, key)] == [serving.log], "its terminal, and nothing else"
    for text in (text for process in stand.family.members() for text in told_by(process)):
        assert key not in text and replica_key not in text
    holders = {path.relative_to(stand.state).parts[0]: path for path in files_with(stand.state, replica_key)}
    assert set(holders) <= {"state.db", "state.db-wal", "load_balancer"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in files_with(stand.state, replica_key))
    assert stand.state.stat().st_mode & 0o077 == 0


SHOWING = (
    ("plan",),
    ("status", "-o", "json"),
    ("audit", "--last", "1000", "-o", "json"),
    ("tenant", "list", "-o", "json"),
    ("tenant", "show", "acme", "-o", "json"),
    ("tenant", "usage", "-o", "json"),
    ("logs",),
)


def test_no_tenants_key_is_found_anywhere(stand: Stand) -> None:
    """Added, rotated, mistyped, revoked; in the state, the logs, what is shown, processes, errors and backups."""
    stand.write()
    stand.serve()
    keys = [
        stand.keys["default"],
        *(
            stand.fs("tenant", *command).stdout.strip()
            for command in (("add", "acme"), ("rotate", "acme"), ("rotate", "default", "--grace", "0s"))
        ),
    ]
    assert len(set(keys)) == 4 and all(key.startswith("fs-") for key in keys)
    told = [answer_to(stand, key) for key in keys] + [answer_to(stand, f"{key}x") for key in keys]
    told += [shown(stand, "tenant", *command) for command in (("rotate", keys[1]), ("add", keys[1]), ("add", "acme"))]
    told += [shown(stand, *command) for command in SHOWING]
    told += [text for process in stand.family.members() for text in told_by(process)]
    backup = stand.folder / "backup.tar.gz"
    assert stand.fs("state", "backup", str(backup)).returncode == 0
    unpacked = stand.folder / "unpacked"
    with tarfile.open(backup) as archive:
        archive.extractall(unpacked, filter="data")
    assert (unpacked / "state.db").exists() and (unpacked / "ledger.db").exists()
    assert stand.fs("tenant", "revoke", "acme", "--yes").returncode == 0
    told += [answer_to(stand, key) for key in keys] + [shown(stand, *command) for command in SHOWING]
    for number, key in enumerate(keys):
        assert [text for text in told if key in text] == [], f"key {number}"
        assert list(files_with(stand.state, key)) == [] and list(files_with(unpacked, key)) == [], f"key {number}"


def answer_to(stand: Stand, key: str) -> str:
    """Everything that the endpoint says to a request with this key."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "one"}], "max_tokens": 1}
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.post(f"{stand.url}/v1/chat/completions", json=body, headers=headers, trust_env=False)
    assert answer.status_code in (200, 401)
    return f"{answer.headers} {answer.text}"


def shown(stand: Stand, *command: str) -> str:
    done = stand.fs(*command)
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def told_by(process: psutil.Process) -> Iterator[str]:
    """What `ps` shows of it, also with its environment."""
    with suppress(psutil.Error):
        yield " ".join(process.cmdline())
        yield " ".join(f"{name}={value}" for name, value in process.environ().items())
