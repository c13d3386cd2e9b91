from collections.abc import Callable
from typing import Any

import httpx
import pytest

from finsight_serve_sim.app import SimApp
from finsight_serve_sim.options import Options

Connect = Callable[..., httpx.AsyncClient]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def connect() -> Connect:
    def connect(**options: Any) -> httpx.AsyncClient:
        app: Any = SimApp("sim", Options(**options))
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sim")

    return connect
