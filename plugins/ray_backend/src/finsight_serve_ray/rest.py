"""Serve's REST API on a cluster's dashboard. It needs no Ray on this side."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from .instance import Instance

PATH = "/api/serve/applications/"
READ_TIMEOUT_S = 10.0
WRITE_TIMEOUT_S = 60.0  # the first PUT starts Serve itself


class RestError(Exception):
    """What the cluster answered, in a sentence."""


class Unreachable(RestError):
    """It did not answer, or only to say that its control plane does not: trying again may help."""


class Rest:
    def __init__(self, url: str, token_file: Path | None, http: Callable[[], httpx.AsyncClient]) -> None:
        self.url, self.token_file, self.http = url, token_file, http

    async def get(self) -> Instance:
        """Raises `RestError`."""
        response = await self._call("GET", None, READ_TIMEOUT_S)
        try:
            return Instance.model_validate_json(response.content)
        except ValueError:
            raise RestError(f"{self.url} does not answer as a Ray dashboard does: check the address") from None

    async def put(self, body: dict[str, Any]) -> None:
        """Raises `RestError`; its text is Serve's own where Serve refuses the body."""
        await self._call("PUT", body, WRITE_TIMEOUT_S)

    async def _call(self, method: str, body: dict[str, Any] | None, timeout_s: float) -> httpx.Response:
        headers = {}
        if self.token_file is not None:
            try:
                headers["Authorization"] = f"Bearer {self.token_file.read_text().strip()}"
            except OSError as error:
                raise RestError(f"can't read the token file {self.token_file}: {error.strerror}") from None
        try:
            async with self.http() as client:
                response = await client.request(method, self.url + PATH, json=body, headers=headers, timeout=timeout_s)
        except httpx.TransportError as error:
            raise Unreachable(
                f"no answer from the Ray cluster at {self.url} ({error or type(error).__name__})"
            ) from None
        if response.status_code in (401, 403):
            raise RestError(f"the Ray cluster at {self.url} refuses the token: set auth_token_file to the cluster's")
        if response.status_code >= 500:
            raise Unreachable(f"the Ray cluster at {self.url} answered {response.status_code}: {response.text[:300]}")
        if response.status_code >= 400:
            raise RestError(f"Serve refuses it ({response.status_code}): {response.text[:600]}")
        return response
