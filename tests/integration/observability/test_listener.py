"""The listener over real sockets: clients that are slow, many or gone hold up nobody else."""

import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.applications import Starlette

from finsight_serve.controller.api import serve
from finsight_serve.controller.controller import MOST_SCRAPES
from finsight_serve.controller.metrics.app import metrics_routes
from finsight_serve.controller.metrics.exposition import Exposition
from finsight_serve.controller.metrics.families import Failures
from finsight_serve.controller.metrics.listener import listen, listen_problems
from finsight_serve.controller.state import State
from finsight_serve.errors import UserError
from finsight_serve.store import Ledger
from finsight_serve.testing import wait_for
from finsight_serve.testing.real_env import find_free_port

pytestmark = pytest.mark.anyio
GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[str]:
    address = f"127.0.0.1:{find_free_port()}"
    with closing(Ledger(folder)) as ledger:
        async with httpx.AsyncClient() as http, anyio.create_task_group() as tasks:
            app = Starlette(routes=metrics_routes(Exposition(State, ledger, Failures()), tuple, http))

            async def run() -> None:
                await serve(app, listen(address), limit_concurrency=MOST_SCRAPES)

            tasks.start_soon(run)
            await wait_for(lambda: answers(address))
            yield address
            tasks.cancel_scope.cancel()


async def answers(address: str) -> bool:
    return await status(address) == 200


async def status(address: str) -> int | None:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
        try:
            return (await http.get(f"http://{address}/metrics")).status_code
        except httpx.TransportError:
            return None


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)


async def test_who_never_reads_the_answer_holds_up_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path) as address:
        with ExitStack() as stack:
            for _ in range(10):
                slow = stack.enter_context(connect(address))
                slow.sendall((GET + b"\r\n") * 50)
            assert await answers(address)


async def test_who_never_ends_the_question_holds_up_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path) as address:
        with ExitStack() as stack:
            for _ in range(10):
                stack.enter_context(connect(address)).sendall(GET)
            assert await answers(address)


async def test_more_than_are_let_in_are_told_so_and_let_in_again_when_others_have_gone(tmp_path: Path) -> None:
    async with serving(tmp_path) as address:
        with ExitStack() as stack:
            for _ in range(MOST_SCRAPES):
                stack.enter_context(connect(address)).sendall(GET)
            await wait_for(lambda: is_status(address, 503))
        await wait_for(lambda: is_status(address, 200))


async def is_status(address: str, expected: int) -> bool:
    return await status(address) == expected


async def test_a_header_without_an_end_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as address:
        with connect(address) as client:
            client.sendall(GET + b"X: " + b"a" * 100_000)
            client.settimeout(5)
            answer = await anyio.to_thread.run_sync(client.recv, 100)
        assert answer.startswith(b"HTTP/1.1 4")
        assert await answers(address)


async def test_it_listens_nowhere_once_it_has_ended(tmp_path: Path) -> None:
    async with serving(tmp_path) as address:
        pass
    assert listen_problems(address) == ()


def test_a_taken_port_is_named_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        (problem,) = listen_problems(address)
        assert problem.message.startswith(f"metrics.listen: {address}: port {taken.getsockname()[1]} is in use by ")
        with pytest.raises(UserError, match="free it, or choose another address"):
            listen(address)


def test_an_address_of_another_machine_is_refused() -> None:
    (problem,) = listen_problems("192.0.2.1:9464")
    assert problem.message.startswith("metrics.listen: 192.0.2.1:9464: ")


def test_nowhere_is_no_problem() -> None:
    assert listen_problems("") == ()
