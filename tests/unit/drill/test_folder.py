"""What a killed drill has left is found, and another's is not."""

import json
import tempfile
from pathlib import Path

import psutil
import pytest

from finsight_serve.drill import folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_of_a_drill_that_runs_is_not_left_behind(place: Path) -> None:
    made = folder.make()
    assert made.parent == place and made.stat().st_mode & 0o777 == 0o700
    assert list(folder.left_behind()) == []


@pytest.mark.parametrize("told", ['{"pid": 1, "started_s": 1.0}', "{}", "no JSON"])
def test_a_folder_whose_maker_is_gone_is(place: Path, told: str) -> None:
    made = folder.make()
    (made / folder.MAKER).write_text(told)
    assert list(folder.left_behind()) == [made]


def test_a_folder_that_is_just_being_made_is_not(place: Path) -> None:
    (place / f"{folder.PREFIX}x").mkdir()
    assert list(folder.left_behind()) == []


def test_another_process_of_the_same_id_is_no_maker(place: Path) -> None:
    made = folder.make()
    me = psutil.Process()
    (made / folder.MAKER).write_text(json.dumps({"pid": me.pid, "started_s": me.create_time() - 100}))
    assert list(folder.left_behind()) == [made]
