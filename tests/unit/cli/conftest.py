from pathlib import Path

import pytest

from ..foreign import Foreign
from .ended import serve_once
from .served import Served


@pytest.fixture
def served(tmp_path: Path, one_of_each: Foreign) -> Served:
    return Served(tmp_path / "s")


@pytest.fixture
def ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a stack whose controller has ended; commands without `--state` mean it."""
    folder = tmp_path / "s"
    monkeypatch.setenv("FS_STATE_DIR", str(folder))
    monkeypatch.chdir(tmp_path)
    serve_once(folder)
    return folder
