"""The client against a server that breaks, refuses for a while and pages: what a healthy cluster seldom does."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from finsight_serve_k8s_keda.kinds import CONFIG_MAP, POD
from finsight_serve_k8s_keda.kube_api import KubeApi, connect
from finsight_serve_k8s_keda.options import Access
from finsight_serve_k8s_keda.refusals import ApiRefusal

pytestmark = pytest.mark.anyio
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(folder: Path, handler: Handler, token: str = "good") -> AsyncIterator[KubeApi]:
    server = web.AppRunner(web.Application(), access_log=None)
    server.app.router.add_route("*", "/{path:.*}", handler)
    await server.setup()
    site = web.TCPSite(server, "127.0.0.1", 0)
    await site.start()
    config = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.addresses[0][1]}"}}],
        "users": [{"name": "u", "user": {"tokenFile": str(folder / "token")}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    (folder / "token").write_text(token)
    (folder / "config").write_text(json.dumps(config))
    try:
        async with connect(Access(kubeconfig=folder / "config", request_timeout_s=2)) as api:
            yield api
    finally:
        await server.cleanup()


def page(names: list[str], follow: str = "") -> web.Response:
    metadata = {"resourceVersion": "7", "continue": follow}
    return web.json_response({"metadata": metadata, "items": [{"metadata": {"name": name}} for name in names]})


async def test_pages_are_put_together(tmp_path):
    async def handler(request: web.Request) -> web.Response:
        return page(["b"]) if request.query.get("continue") == "more" else page(["a"], "more")

    async with served(tmp_path, handler) as api:
        found, version = await api.list(POD, "a=b")
    assert version == "7"
    assert [(body["kind"], body["apiVersion"], body["metadata"]["name"]) for body in found] == [
        ("Pod", "v1", "a"),
        ("Pod", "v1", "b"),
    ]


async def test_a_token_that_was_renewed_is_read_again_and_only_once(tmp_path):
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.headers["Authorization"])
        return page([]) if asked[-1] == "Bearer new" else web.Response(status=401)

    async with served(tmp_path, handler, token="old") as api:
        (tmp_path / "token").write_text("new")
        await api.list(POD)
        assert asked == ["Bearer old", "Bearer new"]
        (tmp_path / "token").write_text("newer")
        asked.clear()
        await api.list(POD)
        assert asked == ["Bearer new"]


async def test_credentials_that_stay_bad_are_tried_twice(tmp_path):
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=401)

    async with served(tmp_path, handler) as api:
        with pytest.raises(ApiRefusal, match="does not accept the credentials") as refused:
            await api.list(POD)
    assert (refused.value.code, len(asked)) == (401, 2)


async def test_a_connection_that_breaks_and_a_busy_server_are_asked_again(tmp_path):
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.method)
        if len(asked) == 1:
            assert request.transport is not None
            request.transport.abort()
        if len(asked) == 2:
            return web.Response(status=429, headers={"Retry-After": "0"})
        return web.json_response({"metadata": {"name": "c"}})

    async with served(tmp_path, handler) as api:
        await api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}})
    assert asked == ["PATCH"] * 3


async def test_a_server_that_always_breaks_is_given_up(tmp_path):
    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with served(tmp_path, handler) as api:
        for ask in (api.get(CONFIG_MAP, "c"), api.list(POD), api.watch(POD, "", "1").__anext__()):
            with pytest.raises(ApiRefusal, match="can't be reached"):
                await ask


async def test_what_is_no_kubernetes_is_told(tmp_path):
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text="<html>hello</html>")

    async with served(tmp_path, handler) as api:
        with pytest.raises(ApiRefusal, match="what answers there is no Kubernetes"):
            await api.list(POD)


async def test_a_watch_passes_lines_on_ends_quietly_and_tells_an_old_version(tmp_path):
    added = {"type": "ADDED", "object": {"kind": "Pod", "metadata": {"name": "p", "note": "x" * 300_000}}}
    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}

    async def handler(request: web.Request) -> web.StreamResponse:
        assert (request.query["watch"], request.query["allowWatchBookmarks"]) == ("1", "true")
        answer = web.StreamResponse()
        await answer.prepare(request)
        lines = [added, gone] if request.query["resourceVersion"] == "1" else [added]
        await answer.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        if request.query["resourceVersion"] == "3":
            assert request.transport is not None
            request.transport.abort()
        return answer

    async with served(tmp_path, handler) as api:
        for version in ("2", "3"):
            found = [change async for change in api.watch(POD, "", version)]
            assert [(change.type, change.body["metadata"]["name"]) for change in found] == [("ADDED", "p")]
        with pytest.raises(ApiRefusal) as refused:
            _ = [change async for change in api.watch(POD, "", "1")]
        assert refused.value.code == 410


async def test_an_object_that_went_or_became_another_is_no_failure_to_delete(tmp_path):
    async def handler(request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("preconditions"):
            return web.json_response({"kind": "Status", "reason": "Conflict"}, status=409)
        details = {"name": "c", "kind": "configmaps"}
        return web.json_response({"kind": "Status", "reason": "NotFound", "details": details}, status=404)

    async with served(tmp_path, handler) as api:
        await api.delete(CONFIG_MAP, "c")
        await api.delete(CONFIG_MAP, "c", uid="another")
