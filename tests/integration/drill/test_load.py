"""The steady load's own ledger, against a server that answers in every way there is."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import anyio
import httpx
import pytest

from finsight_serve.drill.load import Caller, Load, ask
from finsight_serve.drill.waiting import wait_until

CHUNKED = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
TOKEN = b"data: {}\n\n"
WHOLE = CHUNKED + b"a\r\n" + TOKEN + b"\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Every request gets these bytes and the connection's end."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):  # closed with a request half read, it would take the answer back
                        pass

        Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def asked(url: str) -> tuple[str, str]:
    async def once() -> tuple[str, str]:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
            answer = await ask(http, Caller(url, "key", "model"))
        assert answer.began_s <= answer.ended_s
        return answer.outcome, answer.why

    return anyio.run(once)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (WHOLE, "complete"),
        (CHUNKED + b"a\r\n" + TOKEN + b"\r\n", "truncated"),
        (CHUNKED + b"a\r\n" + TOKEN + b"\r\n0\r\n\r\n", "truncated"),
        (CHUNKED, "failed"),
        (b"", "failed"),
        (b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\nno", "failed"),
        (b"HTTP/1.1 429 X\r\nContent-Length: 2\r\n\r\nno", "turned_away"),
    ],
    ids=["whole", "broken off", "without its end", "not a byte", "no answer", "503", "429"],
)
def test_how_an_answer_ends(answer: bytes, outcome: str) -> None:
    with answering(answer) as url:
        assert asked(url)[0] == outcome


def test_nobody_listens() -> None:
    with answering(b"") as url:
        pass
    outcome, why = asked(url)
    assert outcome == "failed" and "ConnectError" in why


def test_a_load_goes_on_until_it_is_stopped_and_knows_what_was_bad() -> None:
    with answering(WHOLE) as url:
        load = Load(Caller(url, "key", "model", clients=2)).start()
        wait_until(lambda: load.complete_since(0) >= 10, 60, "ten answers")
        assert load.first_bad(0) is None
    wait_until(lambda: load.first_bad(0), 60, "one fails once the server is gone")
    load.stop()
    count = len(load.answers)
    bad = load.first_bad(0)
    assert bad is not None and load.last_bad_s(0) >= bad.ended_s
    assert load.last_bad_s(bad.ended_s + 1e9) == bad.ended_s + 1e9
    assert len(load.answers) == count
