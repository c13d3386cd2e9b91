"""The page, served until it is stopped."""

import socket
from pathlib import Path

import anyio

from ..controller.api import serve
from ..controller.client import Client
from ..env import Clock
from .app import build_app
from .document import document
from .feed import Feed
from .guard import Hosts
from .reading import Reader

ANSWER_S = 3.0
"""A controller that has not answered for so long is said to hang; what was stored is shown meanwhile."""
MOST_CONNECTIONS = 64


async def serve_page(folder: Path, listener: socket.socket, hosts: Hosts, clock: Clock) -> None:
    """Runs until cancelled, and closes the listener."""
    reader = Reader(folder, Client(folder, read_timeout_s=ANSWER_S), clock)
    feed = Feed(lambda: document(reader.look()), clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run)
        await serve(build_app(feed, hosts), listener, limit_concurrency=MOST_CONNECTIONS)
