"""What Prometheus asks by HTTP: the controller's metrics, where the replicas are, and each replica's own metrics.

Replicas answer nobody but who has their deployment's key, and where there are no pods to be found they listen on this
machine alone. So Prometheus finds them by HTTP service discovery here, and reads them through here, without a key.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import anyio
import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..probing import Target
from .exposition import Exposition

REPLICA_TIMEOUT_S = 8.0  # below Prometheus' own default of 10 s, so that it hears of the failure


def metrics_routes(
    exposition: Exposition, targets: Callable[[], tuple[Target, ...]], http: httpx.AsyncClient
) -> tuple[Route, ...]:
    """`targets`: the replicas to be found."""

    async def get_metrics(request: Request) -> Response:
        text, content_type = await exposition.render(request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

    async def get_replicas(request: Request) -> JSONResponse:
        return JSONResponse(list(discovery(targets(), request.url.netloc)))

    async def get_replica_metrics(request: Request) -> Response:
        wanted = request.path_params["id"]
        target = next((one for one in targets() if one.replica.id == wanted), None)
        if target is None:
            return PlainTextResponse("No such replica is routed to.\n", 404)
        return await _read(target, http)

    return (
        Route("/metrics", get_metrics),
        Route("/replicas", get_replicas),
        Route("/replicas/{id}/metrics", get_replica_metrics),
    )


def discovery(targets: tuple[Target, ...], here: str) -> Iterator[Mapping[str, Any]]:
    """Prometheus' HTTP service discovery: each replica behind a path of `here`. Pure."""
    for target in targets:
        replica = target.replica
        labels = {"deployment": replica.deployment, "replica": replica.id, "instance": replica.address}
        yield {"targets": [here], "labels": {"__metrics_path__": f"/replicas/{replica.id}/metrics", **labels}}


async def _read(target: Target, http: httpx.AsyncClient) -> Response:
    url, key = f"http://{target.replica.address}/metrics", {"Authorization": f"Bearer {target.key}"}
    with anyio.move_on_after(REPLICA_TIMEOUT_S):  # the client's own timeout starts anew with each byte
        try:
            answer = await http.get(url, headers=key)
        except httpx.HTTPError:
            return PlainTextResponse("The replica can't be reached.\n", 502)
        content_type = answer.headers.get("content-type", "text/plain")
        return Response(answer.content, answer.status_code, {"content-type": content_type})
    return PlainTextResponse(f"The replica did not answer within {REPLICA_TIMEOUT_S:g} s.\n", 504)
