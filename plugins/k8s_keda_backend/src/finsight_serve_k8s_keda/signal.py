"""Whether Prometheus answers what KEDA is going to ask it, found out before anything is applied.

KEDA takes one number for each query and tells nobody but its own log of any other answer.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from finsight_serve.plugin import ApplyError

from .kinds import Json
from .options import Options
from .refusals import FORBIDDEN, ApiRefusal

if TYPE_CHECKING:
    import httpx

    from .kube_api import KubeApi

SELECTOR = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}')
QUERY_PATH = "/api/v1/query"


@dataclass(frozen=True)
class InCluster:
    """An address that only pods can resolve."""

    name: str
    namespace: str
    port: int
    scheme: str
    path: str  # where Prometheus has been given one, "/prometheus"

    def proxied(self) -> str:
        """Where the API server passes a GET on to it."""
        service = f"{self.scheme}:{self.name}:{self.port}" if self.scheme == "https" else f"{self.name}:{self.port}"
        return f"/api/v1/namespaces/{self.namespace}/services/{service}/proxy{self.path}"


@dataclass(frozen=True)
class Question:
    deployment: str
    name: str  # the trigger's
    query: str

    def series(self) -> tuple[str, ...]:
        """The selectors that the query consists of."""
        return tuple(dict.fromkeys(SELECTOR.findall(self.query)))


async def check_signal(
    bodies: Sequence[Json],
    api: "KubeApi",
    http: "Callable[[], httpx.AsyncClient]",
    options: Options,
    say: Callable[[str], None],
) -> None:
    """Asks all that the ScaledObjects among `bodies` ask, and says what is answered.

    No answer is only said too: before the first pod runs there is no series. Raises `ApplyError` where Prometheus
    can't be reached, refuses the query, or answers what KEDA can't use.
    """
    prometheus = Prometheus(options, api, http)
    for question in questions(bodies):
        try:
            say(await check(prometheus, question))
        except NotAllowed as reason:
            return say(f"not checked whether Prometheus answers KEDA: {reason}")


def in_cluster(address: str) -> InCluster | None:
    """None for an address that can be reached from anywhere."""
    url = urlsplit(address)
    name, *rest = (url.hostname or "").split(".")
    if len(rest) not in (2, 4) or rest[1] != "svc" or rest[2:] not in ([], ["cluster", "local"]):
        return None
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    return InCluster(name, rest[0], port, url.scheme, url.path.rstrip("/"))


def questions(bodies: Sequence[Json]) -> Iterator[Question]:
    for body in bodies:
        if body["kind"] == "ScaledObject":
            for trigger in body["spec"]["triggers"]:
                if trigger["type"] == "prometheus":
                    yield Question(body["metadata"]["name"], trigger["name"], trigger["metadata"]["query"])


async def check(prometheus: "Prometheus", question: Question) -> str:
    about = f"deployment {question.deployment!r}, query {question.name!r}"
    value = number(await prometheus.ask(question.query), about)
    counts = {series: number(await prometheus.ask(f"count({series})"), about) for series in question.series()}
    if value is None:
        missing = ", ".join(series for series, count in counts.items() if count is None)
        return f"{about}: no series yet of {missing or question.query}; until there are, KEDA leaves the count alone"
    return f"{about}: answers {value:g}, from {sum(int(count or 0) for count in counts.values())} series"


def number(result: Sequence[Mapping[str, Any]], about: str) -> float | None:
    """None: no series. Raises `ApplyError` for anything that isn't one number."""
    if not result:
        return None
    if len(result) > 1:
        raise ApplyError(f"{about}: Prometheus answers {len(result)} series, and KEDA takes one: aggregate the query")
    value = float(result[0]["value"][1])
    if not math.isfinite(value):
        raise ApplyError(f"{about}: Prometheus answers {value}, which is no number of requests: look at its series")
    return value


class NotAllowed(Exception):
    """Why this side of the cluster can't ask."""


class Prometheus:
    """Asked as KEDA's operator would: an in-cluster address by way of the API server, which resolves it."""

    def __init__(self, options: Options, api: "KubeApi", http: "Callable[[], httpx.AsyncClient]") -> None:
        self._address = options.prometheus
        self._timeout_s = options.request_timeout_s
        self._service = in_cluster(options.prometheus)
        self._api = api
        self._http = http

    async def ask(self, query: str) -> list[dict[str, Any]]:
        """The samples. Raises `ApplyError`, or `NotAllowed` where the API server forbids the way."""
        answer = await (self._directly(query) if self._service is None else self._proxied(self._service, query))
        try:
            found = json.loads(answer)
            if found["status"] != "success":
                raise ApplyError(f"Prometheus at {self._address} refuses the query {query}: {found['error']}")
            samples: list[dict[str, Any]] = found["data"]["result"]
        except (ValueError, KeyError, TypeError) as error:
            raise ApplyError(
                f"what answers at {self._address} is no Prometheus: correct the option `prometheus`"
            ) from error
        return samples

    async def _proxied(self, service: InCluster, query: str) -> str:
        try:
            return await self._api.text(service.proxied() + QUERY_PATH, {"query": query})
        except ApiRefusal as refusal:
            if refusal.code == FORBIDDEN:
                raise NotAllowed(f"the API server does not let us ask {self._address} ({refusal})") from refusal
            raise ApplyError(
                f"Prometheus at {self._address} can't be asked by way of the API server: {refusal}; "
                "correct the option `prometheus`"
            ) from refusal

    async def _directly(self, query: str) -> str:
        import httpx

        async with self._http() as client:
            try:
                answer = await client.get(self._address + QUERY_PATH, params={"query": query}, timeout=self._timeout_s)
            except httpx.HTTPError as error:
                why = str(error) or type(error).__name__
                raise ApplyError(
                    f"Prometheus at {self._address} can't be reached: {why}; start it, or correct the option "
                    "`prometheus`"
                ) from error
        return answer.text
