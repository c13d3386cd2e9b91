"""How the CLI speaks with a running controller: HTTP on its unix socket."""

from pathlib import Path

import httpx
from pydantic import TypeAdapter

from ..errors import UserError
from .facts import Intent
from .status import Status
from .wire import SOCKET_NAME, intent_json

READ_TIMEOUT_S = 10.0
INTENT_TIMEOUT_S = 60.0
"""An intent waits for those before it and for the disk, and may be about thousands of tenants."""

_STATUS = TypeAdapter(Status)


class Unanswered(UserError):
    """A controller runs and has not answered: what was asked of it may have been taken."""


class Client:
    """Each call is None (or False) where no controller runs. Raises `UserError` where one runs and does not answer."""

    def __init__(
        self, folder: Path, *, read_timeout_s: float = READ_TIMEOUT_S, intent_timeout_s: float = INTENT_TIMEOUT_S
    ) -> None:
        self._folder, self._read_timeout_s, self._intent_timeout_s = folder, read_timeout_s, intent_timeout_s
        self._transport = httpx.HTTPTransport(uds=str(folder / SOCKET_NAME))
        self._http = httpx.Client(transport=self._transport, base_url="http://controller")

    def status(self) -> Status | None:
        answer = self._read("/status")
        return None if answer is None else _STATUS.validate_json(answer.content)

    def metrics(self) -> str | None:
        """As Prometheus is given them."""
        answer = self._read("/metrics")
        return None if answer is None else answer.text

    def is_ready(self) -> bool:
        return self._says("ready")

    def is_settled(self) -> bool:
        """Whether all that is wanted now has been applied."""
        return self._says("settled")

    def intend(self, fact: Intent) -> bool:
        """True once it is stored and acted on. Raises `UserError` with the controller's reason if it is refused."""
        doubt = "; `fs status` and `fs audit` show whether it was taken"
        answer = self._call("POST", "/intents", intent_json(fact), timeout_s=self._intent_timeout_s, doubt=doubt)
        if answer is not None and answer.status_code == httpx.codes.CONFLICT:
            raise UserError(answer.json()["refused"])
        return answer is not None

    def _says(self, what: str) -> bool:
        """Who asks this asks again and again: one answer that does not come is no reason to stop."""
        try:
            answer = self._read("/ready")
        except UserError:
            return False
        return answer is not None and bool(answer.json()[what])

    def _read(self, path: str) -> httpx.Response | None:
        return self._call("GET", path, None, timeout_s=self._read_timeout_s)

    def _call(
        self, method: str, path: str, content: bytes | None, *, timeout_s: float, doubt: str = ""
    ) -> httpx.Response | None:
        """An answer that breaks off is of a controller that has ended: what it took is stored."""
        try:
            answer = self._http.request(method, path, content=content, timeout=timeout_s)
        except httpx.TimeoutException:
            late = f"{self._folder}: its controller runs and has not answered for {timeout_s:g} s"
            raise Unanswered(f"{late}{doubt}; `fs logs controller` shows what it is at") from None
        except httpx.TransportError:
            return None
        if not answer.is_success and answer.status_code != httpx.codes.CONFLICT:
            failed = f"{self._folder}: its controller could not answer (HTTP {answer.status_code})"
            raise UserError(f"{failed}{doubt}; `fs logs controller` shows why")
        return answer
