"""Ports for the local node: free now, clear of Ray's own ranges, below the range of outgoing connections."""

import random
import socket
from collections.abc import Collection

CANDIDATES = range(20001, 29999)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection in TIME_WAIT is no listener
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose(preferred: int | None, taken: Collection[int]) -> int:
    """`preferred` if it is free, else another. Raises `OSError` where none is."""
    if preferred and preferred not in taken and is_free(preferred):
        return preferred
    for port in random.sample(CANDIDATES, len(CANDIDATES)):
        if port not in taken and is_free(port):
            return port
    raise OSError(f"no free port in {CANDIDATES.start}-{CANDIDATES.stop - 1}")
