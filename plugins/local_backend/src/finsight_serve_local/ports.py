"""Ports of this machine."""

import random
from collections.abc import Container

from finsight_serve.plugin import ApplyError
from finsight_serve.ports import LOOPBACK, describe_holder, is_free

__all__ = ["HOST", "describe_holder", "find_free_port", "is_free"]

HOST = LOOPBACK
# Clear of Ray's workers (10002-19999) and replicas (30000-31000), and below the ports that the kernel gives to
# outgoing connections, so that a port stays free while a model loads.
_CANDIDATES = range(20000, 30000)
_TRIES = 200


def find_free_port(taken: Container[int]) -> int:
    """A port on loopback that nothing listens on now. Raises `ApplyError` when none is found."""
    for port in random.sample(_CANDIDATES, _TRIES):
        if port not in taken and is_free(port):
            return port
    raise ApplyError(f"no free port found between {_CANDIDATES.start} and {_CANDIDATES.stop - 1} in {_TRIES} tries")
