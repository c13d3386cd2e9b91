"""The path that clients use survives Serve's route prefix."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

pytest.importorskip("ray", reason="ray is not installed")

from finsight_serve_ray.ray_api import AddPrefix, RemovePrefix

add_prefix = partial(AddPrefix, prefix="/chat-me")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def seen_by(middleware: Callable[..., Any], scope: dict[str, Any]) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope)

    await middleware(app)(scope, None, None)
    return seen[0]


@pytest.mark.parametrize("root", ["", "/mounted"])
@pytest.mark.parametrize("path", ["/v1/models", "/", "/chat-me/odd"])
@pytest.mark.anyio
async def test_what_is_put_on_is_taken_off(root: str, path: str) -> None:
    served = await seen_by(add_prefix, {"type": "http", "root_path": root, "path": root + path})
    assert served["path"] == f"{root}/chat-me{path}"
    mounted = {**served, "root_path": f"{root}/chat-me"}  # as Serve hands it on
    engine = await seen_by(RemovePrefix, mounted)
    assert (engine["path"], engine["root_path"], engine["raw_path"]) == (path, "", path.encode())


@pytest.mark.anyio
async def test_serves_own_paths_and_the_lifespan_pass() -> None:
    for scope in ({"type": "http", "root_path": "", "path": "/-/healthz"}, {"type": "http", "path": "/-/routes"}):
        assert await seen_by(add_prefix, scope) == scope
    assert await seen_by(RemovePrefix, {"type": "lifespan"}) == {"type": "lifespan"}
