"""The address at which Prometheus finds the controller, where fs.yaml names one."""

import errno
import socket

from ...errors import UserError
from ...plugin import Problem
from ...ports import describe_holder, split_listen


def listen(address: str) -> socket.socket:
    """Raises `UserError` where nothing can listen there."""
    try:
        return _bind(address)
    except OSError as error:
        problem = _explain(address, error)
        raise UserError(f"{problem.message}; {problem.fix}") from error


def listen_problems(address: str) -> tuple[Problem, ...]:
    """Why nothing could listen there now; "" is nowhere, which is no problem."""
    if not address:
        return ()
    try:
        _bind(address).close()
    except OSError as error:
        return (_explain(address, error),)
    return ()


def _bind(address: str) -> socket.socket:
    host, port = split_listen(address)
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def _explain(address: str, error: OSError) -> Problem:
    _, port = split_listen(address)
    taken = error.errno == errno.EADDRINUSE
    why = f"port {port} is in use by {describe_holder(port)}" if taken else error.strerror or str(error)
    return Problem(f"metrics.listen: {address}: {why}", "free it, or choose another address")
