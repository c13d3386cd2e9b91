"""Who may write: one process at a time holds the state folder, by a lock that the kernel drops when it dies."""

import fcntl
import os
from pathlib import Path
from types import TracebackType

from ..errors import UserError


class LeaseTaken(UserError):
    """Another process holds the state folder."""

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(f"{folder}: a controller already runs on this state ({holder})")
        self.holder = holder


class Lease:
    """Held from `with` to its end. Raises `LeaseTaken`, or `OSError` where the folder can't be written."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "controller.lock"
        self._fd = -1

    def __enter__(self) -> "Lease":
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 100).decode(errors="replace").strip() or "starting"
            os.close(fd)
            raise LeaseTaken(self._path.parent, holder) from None
        os.ftruncate(fd, 0)
        os.write(fd, f"pid {os.getpid()}".encode())
        self._fd = fd
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)
