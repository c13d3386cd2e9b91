"""Ports of this machine."""

import random
import socket
from collections.abc import Container

import psutil

from finsight_serve.plugin import ApplyError

HOST = "127.0.0.1"
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


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do, so that TIME_WAIT is no obstacle
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def describe_holder(port: int) -> str:
    """Who listens there, for people: "nginx (pid 12)"."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass  # another user's process, or not permitted to look
    return "another process"
