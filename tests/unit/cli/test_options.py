from pathlib import Path

import click
import pytest

from finsight_serve.cli.options import duration, named_state_dir, percent, state_dir
from finsight_serve.errors import UserError
from finsight_serve.stack import StackErrors


def test_a_given_folder_is_the_folder(tmp_path: Path) -> None:
    assert state_dir("small", tmp_path) == tmp_path
    assert named_state_dir(Path("none.yaml"), tmp_path) == tmp_path


def test_the_users_folder_has_one_per_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "fs.yaml").write_text("name: small\nwhatever: else\n")
    found = named_state_dir(tmp_path / "fs.yaml", None)
    assert found == state_dir("small", None)
    assert found.name == "small" and tmp_path in found.parents


@pytest.mark.parametrize("text", ["name: ../up\n", "other: x\n", "name: 5\n"])
def test_a_name_that_names_no_folder(tmp_path: Path, text: str) -> None:
    (tmp_path / "fs.yaml").write_text(text)
    with pytest.raises(UserError, match=r"fs.yaml: name: must be 1 to 40 of a-z, 0-9 and inner hyphens$"):
        named_state_dir(tmp_path / "fs.yaml", None)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(StackErrors, match=r"no such file"):
        named_state_dir(tmp_path / "fs.yaml", None)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("7d", 604800), ("0s", 0)])
def test_times(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "1h30m", "-5s", "infs", "1e3s", ".5h", "5 s", "9" * 20 + "s"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="must be a time as 90s"):
        duration(text)


def test_percent() -> None:
    assert [percent(text) for text in ("0", "5%", "100%")] == [0, 5, 100]
    for text in ("101%", "-1%", "2.5%", "x", ""):
        with pytest.raises(click.BadParameter, match="whole number of percent"):
            percent(text)
