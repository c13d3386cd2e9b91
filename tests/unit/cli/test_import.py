"""`fs import`: shows whose it is, asks, and makes it this stack's."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from finsight_serve.cli.main import cli
from finsight_serve.cli.stored import stored_owner, stored_state
from finsight_serve.controller.session import hold

from ..foreign import Foreign
from .shipper import Shop


@pytest.fixture
def shop(tmp_path: Path, one_of_each: Foreign, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FS_STATE_DIR", str(tmp_path / "state"))
    shop = Shop(tmp_path, one_of_each)
    shop.world = {"Box/chat": "somebody", "Box/another": "somebody"}
    return shop


def fs_import(*argv: str) -> Result:
    return CliRunner().invoke(cli, ["import", *argv])


def test_takes_over_what_the_file_names_and_nothing_else(shop: Shop) -> None:
    result = fs_import("--yes")
    assert result.exit_code == 0, result.stderr
    assert [line.split() for line in result.stdout.splitlines()[2:3]] == [["shipper", "Box/chat", "somebody"]]
    assert shop.world == {"Box/chat": stored_owner(shop.state), "Box/another": "somebody"}


def test_what_was_taken_over_is_known_as_serving(shop: Shop) -> None:
    """A first start that fails takes everything down again: this is none."""
    fs_import("--yes")
    durable = stored_state(shop.state).durable
    assert durable.serving and durable.stack is not None
    assert set(durable.replica_keys) == {"chat", "code"}


def test_again_there_is_nothing_left(shop: Shop) -> None:
    fs_import("--yes")
    before = stored_state(shop.state)
    assert fs_import("--yes").stdout.startswith("Nothing to import")
    assert stored_state(shop.state) == before


def test_nobody_to_ask_is_a_line_and_changes_nothing(shop: Shop) -> None:
    before = shop.world
    result = fs_import()
    assert result.exit_code == 2
    assert result.stderr == "fs: nobody can be asked here: `fs import --yes` takes it over without a question\n"
    assert shop.world == before and stored_state(shop.state).durable.stack is None


def test_beside_a_controller_it_is_refused(shop: Shop) -> None:
    before = shop.world
    with hold(shop.state):
        result = fs_import("--yes")
    assert result.exit_code == 2 and "a controller already runs on this state" in result.stderr
    assert shop.world == before


def test_interrupted_it_goes_on(shop: Shop) -> None:
    """Half of it is taken over: the same command takes the rest."""
    fs_import("--yes")
    owner = stored_owner(shop.state)
    shop.world = {"Box/chat": owner, "Box/code": ""}
    assert fs_import("--yes").exit_code == 0
    assert shop.world == {"Box/chat": owner, "Box/code": owner}


def test_a_backend_out_of_reach_is_a_line(shop: Shop) -> None:
    shop.world = {"away": ""}
    result = fs_import("--yes")
    assert (result.exit_code, result.stderr) == (2, "fs: the port can't be reached\n")
    assert shop.world == {"away": ""}


def test_a_backend_that_takes_nothing_over_is_a_line(shop: Shop) -> None:
    result = fs_import("--yes", "--backend", "acme")
    assert (result.exit_code, result.stderr) == (
        2,
        "fs: backend acme: nothing that others set up can be taken over; `fs serve` sets it up itself\n",
    )
