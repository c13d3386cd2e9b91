"""A plugin's surroundings for tests: the real clock, processes and HTTP, and a folder of its own."""

import random
import secrets
import socket
from pathlib import Path

import httpx

from ..env import Env
from ..processes import SystemClock, SystemProcesses


def make_env(folder: Path, owner: str = "") -> Env:
    """A real `Env` whose state lies in `folder`; a random owner unless one is given."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Env(
        owner=owner or secrets.token_hex(4),
        state_dir=folder,
        clock=SystemClock(),
        processes=SystemProcesses(),
        http=lambda: httpx.AsyncClient(trust_env=False, timeout=10),
        progress=print,  # pytest shows it where a check fails
    )


def find_free_port() -> int:
    """A port on loopback that nothing listens on now, clear of Ray's ranges and of outgoing connections'."""
    for port in random.sample(range(20000, 30000), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port found between 20000 and 29999")
