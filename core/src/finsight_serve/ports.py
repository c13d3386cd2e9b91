"""TCP addresses of this machine: what is free, and who has the others. For plugins that start servers."""

import ipaddress
import re
import socket

import psutil

LOOPBACK = "127.0.0.1"
LISTEN = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


def split_listen(address: str) -> tuple[str, int]:
    """ "[::1]:8000" → ("::1", 8000). Raises `ValueError` for what is no HOST:PORT."""
    found = LISTEN.fullmatch(address)
    if not found or not 0 < int(found[2]) < 65536:
        raise ValueError(f'must be host:port, for example "127.0.0.1:9464", found {address}')
    return found[1].strip("[]"), int(found[2])


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_free(port: int) -> bool:
    """Whether a server could listen there on loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do, so that TIME_WAIT is no obstacle
        try:
            probe.bind((LOOPBACK, port))
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
