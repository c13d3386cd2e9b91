"""What a person reads of a controller that is slow, fails, ends in the middle, or isn't there."""

import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.from_thread
import pytest

from finsight_serve.controller.api import build_api, serve_api
from finsight_serve.controller.client import Client, Unanswered
from finsight_serve.controller.facts import Intent, RollbackAsked
from finsight_serve.controller.status import Status
from finsight_serve.controller.wire import socket_path
from finsight_serve.errors import UserError

INTENT = RollbackAsked("m-1", "ann")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a unix socket."""
    path = Path(tempfile.mkdtemp())
    yield path
    shutil.rmtree(path)


class Desk:
    """A controller's API, whose intents are answered by `answer`, and take until `release` while they are `held`."""

    def __init__(self) -> None:
        self.taken: list[Intent] = []
        self.refusal, self.is_held, self.release = "", False, threading.Event()

    def status(self) -> Status:
        if self.is_held:
            self.release.wait(10)
        raise RuntimeError("no status")

    async def intend(self, fact: Intent) -> str:
        if self.refusal == "burst":
            raise RuntimeError(self.refusal)
        if self.is_held:
            await anyio.to_thread.run_sync(self.release.wait, 10)
        if not self.refusal:
            self.taken.append(fact)
        return self.refusal

    @contextmanager
    def at(self, folder: Path) -> Iterator[None]:
        with anyio.from_thread.start_blocking_portal() as portal:
            app = build_api(self.status, lambda: True, lambda: True, self.intend)
            serving = portal.start_task_soon(serve_api, app, socket_path(folder))
            try:
                _wait_for(Client(folder).is_ready)  # there is a socket before it is listened to
                yield
            finally:
                self.release.set()
                serving.cancel()


def _wait_for(holds: Callable[[], bool]) -> None:
    paused = threading.Event()
    for _ in range(500):
        if holds():
            return
        paused.wait(0.02)  # nothing tells of a file or a list that changes
    raise AssertionError("in vain for 10 s")


def test_no_socket_and_one_that_nobody_hears_are_no_controller(folder: Path) -> None:
    client = Client(folder)
    for _ in range(2):
        assert client.status() is None
        assert not client.is_ready() and not client.is_settled() and not client.intend(INTENT)
        with socket.socket(socket.AF_UNIX) as left:  # by a controller that was killed
            socket_path(folder).unlink(missing_ok=True)
            left.bind(str(socket_path(folder)))


def test_what_is_taken_and_what_is_refused(folder: Path) -> None:
    desk = Desk()
    with desk.at(folder):
        assert Client(folder).intend(INTENT) and desk.taken == [INTENT]
        assert Client(folder).is_ready() and Client(folder).is_settled()
        desk.refusal = "migration m-1: is over"
        with pytest.raises(UserError, match=r"^migration m-1: is over$"):
            Client(folder).intend(INTENT)


def test_an_intent_that_is_slow_is_not_said_to_be_impossible(folder: Path) -> None:
    desk = Desk()
    desk.is_held = True
    with desk.at(folder):
        with pytest.raises(Unanswered, match=r"not answered for 0.2 s; `fs status` and `fs audit` show whether"):
            Client(folder, intent_timeout_s=0.2).intend(INTENT)
        assert desk.taken == []
        desk.release.set()
        _wait_for(lambda: desk.taken == [INTENT])


def test_an_intent_may_take_longer_than_a_look(folder: Path) -> None:
    desk = Desk()
    desk.is_held = True
    with desk.at(folder):
        threading.Timer(0.5, desk.release.set).start()
        assert Client(folder, read_timeout_s=0.1).intend(INTENT)


def test_a_controller_that_shows_no_status_runs_all_the_same(folder: Path) -> None:
    desk = Desk()
    desk.is_held = True
    with desk.at(folder), pytest.raises(Unanswered, match="`fs logs controller` shows what it is at"):
        Client(folder, read_timeout_s=0.2).status()


def test_one_that_fails_is_said_to_have_failed(folder: Path) -> None:
    desk = Desk()
    desk.refusal = "burst"
    with desk.at(folder):
        with pytest.raises(UserError, match=r"HTTP 500.*whether it was taken"):
            Client(folder).intend(INTENT)
        with pytest.raises(UserError, match="HTTP 500"):
            Client(folder).status()


def _hang_up(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    connection.recv(1)
    connection.close()


def test_one_that_ends_meanwhile_is_none(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(socket_path(folder)))
        listener.listen()
        ends = threading.Thread(target=_hang_up, args=(listener,))
        ends.start()
        assert not Client(folder).intend(INTENT)
        ends.join()


def test_who_waits_for_it_goes_on_waiting(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(socket_path(folder)))
        hung.listen()
        assert not Client(folder, read_timeout_s=0.1).is_ready()
        assert not Client(folder, read_timeout_s=0.1).is_settled()
