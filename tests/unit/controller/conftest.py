import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .bench import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="fs-") as folder:  # short: a unix socket lives in it
        yield Bench(Path(folder))
