"""The stock health probe: one completion of one token, as a client would ask for it."""

from collections.abc import Mapping
from typing import Any, ClassVar

import anyio
import httpx
from pydantic import BaseModel, ConfigDict, Field

from .env import Env
from .plugin import Feature, HealthProbe, Problem, Replica, Verdict, hookimpl


class ProbeOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    timeout_s: float = Field(10.0, gt=0, description="time within which the answer must be complete")


class OneTokenProbe:
    name: ClassVar[str] = "one-token"
    Options: ClassVar[type[BaseModel]] = ProbeOptions
    lacks: ClassVar[Mapping[Feature, str]] = {}

    def __init__(self, options: ProbeOptions, env: Env) -> None:
        self._timeout_s = options.timeout_s
        self._env = env

    def check(self) -> tuple[Problem, ...]:
        return ()

    async def probe(self, replica: Replica, model: str, key: str) -> Verdict:
        try:
            # one deadline over all: httpx's timeouts are per read, and a byte now and then would stretch them for ever
            with anyio.fail_after(self._timeout_s):
                return await self._ask(replica, model, key)
        except TimeoutError:
            return "timeout"

    async def _ask(self, replica: Replica, model: str, key: str) -> Verdict:
        body = {"model": model, "prompt": "Hello", "max_tokens": 1, "stream": False}
        headers = {"Authorization": f"Bearer {key}"}
        async with self._env.http() as client:
            try:
                url = f"http://{replica.address}/v1/completions"
                answer = await client.post(url, json=body, headers=headers, timeout=None)
            except httpx.TimeoutException:
                return "timeout"
            except httpx.NetworkError:
                return "refused"
            except (httpx.HTTPError, httpx.InvalidURL):
                return "wrong"  # it answered, but not in HTTP
        return judge(answer)


def judge(answer: httpx.Response) -> Verdict:
    """What a complete answer says about the replica."""
    if answer.status_code in (429, 503):
        return "saturated"
    if answer.status_code != 200:
        return "wrong"
    try:
        return "ok" if _tokens(answer.json()) >= 1 else "wrong"
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return "wrong"


def _tokens(body: Any) -> int:
    choice, usage = body["choices"][0], body["usage"]
    tokens = usage["completion_tokens"]
    return int(tokens) if "text" in choice else 0


@hookimpl
def health_probe() -> type[HealthProbe]:
    return OneTokenProbe
