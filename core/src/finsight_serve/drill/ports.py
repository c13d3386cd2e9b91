"""Free ports for a scratch service."""

import random
from collections.abc import Sequence

from ..errors import UserError
from ..ports import is_free

CANDIDATES = range(20000, 30000)
"""Clear of those that the kernel, and backends, give out by themselves."""


def free_ports(count: int) -> Sequence[int]:
    """Raises `UserError`."""
    found: list[int] = []
    for port in random.sample(CANDIDATES, len(CANDIDATES)):
        if is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise UserError(f"{count} free ports are not to be found between {CANDIDATES.start} and {CANDIDATES.stop - 1}")
