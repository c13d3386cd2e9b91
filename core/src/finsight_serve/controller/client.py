"""How the CLI speaks with a running controller: HTTP on its unix socket."""

from pathlib import Path

import httpx
from pydantic import TypeAdapter

from ..errors import UserError
from .api import SOCKET_NAME, intent_json
from .facts import Intent
from .status import Status

ANSWER_TIMEOUT_S = 10.0

_STATUS = TypeAdapter(Status)


class Client:
    """Each call is None (or False) where no controller answers."""

    def __init__(self, folder: Path) -> None:
        self._transport = httpx.HTTPTransport(uds=str(folder / SOCKET_NAME))
        self._http = httpx.Client(transport=self._transport, base_url="http://controller", timeout=ANSWER_TIMEOUT_S)

    def status(self) -> Status | None:
        answer = self._call("GET", "/status")
        return None if answer is None else _STATUS.validate_json(answer.content)

    def is_ready(self) -> bool:
        answer = self._call("GET", "/ready")
        return answer is not None and bool(answer.json()["ready"])

    def is_settled(self) -> bool:
        """Whether all that is wanted now has been applied."""
        answer = self._call("GET", "/ready")
        return answer is not None and bool(answer.json()["settled"])

    def intend(self, fact: Intent) -> bool:
        """True once it is stored and acted on. Raises `UserError` with the controller's reason if it is refused."""
        answer = self._call("POST", "/intents", intent_json(fact))
        if answer is not None and answer.status_code == httpx.codes.CONFLICT:
            raise UserError(answer.json()["refused"])
        return answer is not None

    def _call(self, method: str, path: str, content: bytes | None = None) -> httpx.Response | None:
        try:
            answer = self._http.request(method, path, content=content)
            if answer.status_code != httpx.codes.CONFLICT:
                answer.raise_for_status()
            return answer
        except httpx.TransportError:
            return None
