import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from .edge import Edge


@pytest.fixture
def state_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def edge(state_dir: Path) -> AsyncIterator[Edge]:
    edge = Edge(state_dir)
    yield edge
    await edge.close()
