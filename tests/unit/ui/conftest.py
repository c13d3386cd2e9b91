from pathlib import Path

import pytest

from ..cli.served import Served
from ..foreign import Foreign


@pytest.fixture
def served(tmp_path: Path, one_of_each: Foreign) -> Served:
    return Served(tmp_path / "s")
