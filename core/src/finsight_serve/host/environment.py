"""The real `Env`."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..env import Env

if TYPE_CHECKING:
    import ssl

    import httpx


def env_for(folder: Path, *, owner: str, progress: Callable[[str], None]) -> Env:
    """The machine's own clock, processes and HTTP; `folder` is made, readable by its owner only.

    Raises `OSError` if the folder can't be made.
    """
    from ..processes import SystemClock, SystemProcesses

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return Env(
        owner=owner,
        state_dir=folder,
        clock=SystemClock(),
        processes=SystemProcesses(),
        http=_http_clients(),
        progress=progress,
    )


def _http_clients() -> "Callable[[], httpx.AsyncClient]":
    @cache  # reading the certificates costs 20 ms, and a probe asks for a client each time
    def tls() -> "ssl.SSLContext":
        import httpx

        return httpx.create_ssl_context(trust_env=False)

    def client() -> "httpx.AsyncClient":
        import httpx

        # replicas and control APIs are reached directly, whatever proxy the shell is set up for
        return httpx.AsyncClient(verify=tls(), trust_env=False)

    return client
