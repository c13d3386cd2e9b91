"""Prompts, answers and keys reach no disk and no log."""

import signal

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
    wait_until(lambda: stand.open_requests() == {"default": 0}, 10, "the stream is gone")
    assert list(files_with(stand.folder, CANARY)) == []
    serving.process.send_signal(signal.SIGINT)
    serving.wait_ended()
    assert list(files_with(stand.folder, CANARY)) == []


def test_keys_are_shown_once_and_in_no_argument(stand: Stand) -> None:
    stand.write()
    serving = stand.serve()
    key, replica_key = stand.keys["default"], stand.replica_key()
    assert [path for path in files_with(stand.folder, key)] == [serving.log], "its terminal, and nothing else"
    for process in stand.family.members():
        shown = " ".join(process.cmdline())
        assert key not in shown and replica_key not in shown
    holders = {path.relative_to(stand.state).parts[0]: path for path in files_with(stand.state, replica_key)}
    assert set(holders) <= {"state.db", "state.db-wal", "load_balancer"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in files_with(stand.state, replica_key))
    assert stand.state.stat().st_mode & 0o077 == 0
