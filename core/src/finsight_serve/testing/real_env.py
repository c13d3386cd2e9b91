"""A plugin's surroundings for tests: the real clock, processes and HTTP, and a folder of its own."""

import random
import secrets
import socket
from pathlib import Path

from ..env import Env
from ..host import env_for


def make_env(folder: Path, owner: str = "") -> Env:
    """A real `Env` whose state lies in `folder`; a random owner unless one is given. Progress is printed."""
    return env_for(folder, owner=owner or secrets.token_hex(4), progress=print)


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
