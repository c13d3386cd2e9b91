"""Where the page listens: on loopback, unless it was asked for elsewhere in so many words."""

import errno
import socket

from ..errors import UserError
from ..ports import describe_holder, is_loopback


def bind(address: str, port: int, *, allow_remote: bool = False) -> socket.socket:
    """`port` 0: a free one. Raises `UserError` where nothing can listen there, or should not."""
    if not is_loopback(address) and not allow_remote:
        raise UserError(
            f"--listen: whoever reaches {address} could read the stack's state, without a key; "
            "tunnel to 127.0.0.1, or add --allow-remote if that is meant"
        )
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.create_server((address, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = f"is in use by {describe_holder(port)}; give another one, or 0 for any that is free"
            raise UserError(f"--port: {port} {why}") from error
        raise UserError(f"--listen: nothing can listen on {address}:{port} ({error.strerror or error})") from error


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])
