"""Ports for the local node: free now, clear of Ray's own ranges, below the range of outgoing connections."""

import random
import socket
from collections.abc import Collection
from ipaddress import IPv4Address

from finsight_serve.ports import describe_holder, is_free

__all__ = ["choose", "describe_holder", "is_free", "is_ours"]

CANDIDATES = range(20001, 29999)


def choose(preferred: int | None, taken: Collection[int]) -> int:
    """`preferred` if it is free, else another. Raises `OSError` where none is."""
    if preferred and preferred not in taken and is_free(preferred):
        return preferred
    for port in random.sample(CANDIDATES, len(CANDIDATES)):
        if port not in taken and is_free(port):
            return port
    raise OSError(f"no free port in {CANDIDATES.start}-{CANDIDATES.stop - 1}")


def is_ours(address: IPv4Address) -> bool:
    """Whether this machine has the address."""
    with socket.socket() as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
