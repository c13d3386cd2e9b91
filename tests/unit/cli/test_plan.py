"""`fs plan -o FORM`: what is exported, of which state, and where it goes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from finsight_serve.cli.export_folder import LISTING
from finsight_serve.cli.main import cli

from ..foreign import Foreign
from .shipper import ALWAYS, Shop


@pytest.fixture
def shop(tmp_path: Path, one_of_each: Foreign, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FS_STATE_DIR", str(tmp_path / "state"))
    return Shop(tmp_path, one_of_each)


def plan(*argv: str) -> Result:
    return CliRunner().invoke(cli, ["plan", *argv])


def crate(*argv: str) -> Mapping[str, Any]:
    result = plan("-o", "crate", *argv)
    assert result.exit_code == 0, result.stderr
    found: Mapping[str, Any] = json.loads(result.stdout)
    return found


def refused(*argv: str) -> list[str]:
    result = plan(*argv)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    return result.stderr.splitlines()


def serve_once(shop: Shop) -> None:
    """As far as storing goes: adopting chooses the stack, and makes an owner and keys."""
    shop.world = {"Box/chat": "", "Box/code": ""}
    result = CliRunner().invoke(cli, ["import", "--yes"])
    assert result.exit_code == 0, result.stderr


def test_who_never_served_exports_without_owner_and_keys_and_with_schedules(shop: Shop) -> None:
    shop.write(more=ALWAYS)
    chat = crate()["boxes"]["Box/chat"]
    assert chat == {"owner": "", "hashes": None, "windows": 2, "min_replicas": 1, "evict": []}
    assert not shop.state.exists()


def test_a_note_tells_of_replicas_without_a_key(shop: Shop) -> None:
    assert "replicas of chat, code ask for no key" in plan("-o", "crate").stderr


def test_who_served_exports_what_the_controller_applies(shop: Shop) -> None:
    serve_once(shop)
    shop.write(more=ALWAYS)
    first, again = crate(), crate()
    chat = first["boxes"]["Box/chat"]
    assert (chat["owner"], chat["windows"], chat["min_replicas"]) == (shop.world["Box/chat"], 0, 2)
    assert len(chat["hashes"].split(",")) == 2
    assert first == again, "keys and owner are the stored ones"


def test_without_a_controller_served_or_not_is_the_same(shop: Shop) -> None:
    shop.write(more=ALWAYS)
    before = crate()
    serve_once(shop)
    assert crate("--no-controller") == before


def test_several_files_go_into_a_folder_and_replace_those_of_the_last_export_only(shop: Shop) -> None:
    place = shop.folder / "out"
    assert plan("-o", "boxes", "--to", str(place)).exit_code == 0
    assert {path.name for path in (place / "boxes").iterdir()} == {"chat.json", "code.json"}
    (place / "README").write_text("mine")
    text = (shop.folder / "fs.yaml").read_text().replace("- {name: code, model: m, policy: {max_replicas: 4}}", "")
    (shop.folder / "fs.yaml").write_text(text)
    assert plan("-o", "boxes", "--to", str(place)).exit_code == 0
    assert {path.name for path in (place / "boxes").iterdir()} == {"chat.json"}
    assert (place / "README").read_text() == "mine"


def test_a_folder_of_other_files_is_left_alone_without_force(shop: Shop) -> None:
    place = shop.folder / "out"
    place.mkdir()
    (place / "mine").write_text("")
    (line,) = refused("-o", "boxes", "--to", str(place))
    assert line == f"fs: {place}: holds files that are no earlier export; choose another folder, or add --force"
    assert [path.name for path in place.iterdir()] == ["mine"]
    assert plan("-o", "boxes", "--to", str(place), "--force").exit_code == 0
    assert {path.name for path in place.iterdir()} == {"mine", "boxes", LISTING}


def test_a_listing_that_names_files_elsewhere_removes_none_of_them(shop: Shop) -> None:
    place, outside = shop.folder / "out", shop.folder / "outside"
    outside.write_text("")
    place.mkdir()
    (place / LISTING).write_text(json.dumps(["../outside", str(outside)]))
    assert plan("-o", "boxes", "--to", str(place)).exit_code == 0
    assert outside.exists()


def test_in_the_cluster_the_controller_alone_is_exported(shop: Shop) -> None:
    found = crate("--in-cluster", "--image", "an-image", "--host", "llm.example.com")
    assert found["boxes"] == {}
    assert found["controller"] == {
        "image": "an-image",
        "stack_file": (shop.folder / "fs.yaml").read_text(),
        "stack": "shop",
        "port": 1,
        "host": "llm.example.com",
        "metrics_port": 0,
    }


@pytest.mark.parametrize(
    ("listen", "port", "notes"),
    [("0.0.0.0:9464", 9464, 0), ("127.0.0.1:9464", 0, 1)],
)
def test_prometheus_reads_a_controller_that_listens_beyond_its_pod(
    shop: Shop, listen: str, port: int, notes: int
) -> None:
    file = shop.folder / "fs.yaml"
    file.write_text(f'{file.read_text()}\nmetrics: {{listen: "{listen}", allow_plaintext: true}}\n')
    result = plan("-o", "crate", "--in-cluster", "--image", "i", "--host", "h")
    assert json.loads(result.stdout)["controller"]["metrics_port"] == port
    assert result.stderr.count("is the pod's own loopback, so no Prometheus reads the controller") == notes


def test_what_the_command_line_adds_is_in_the_controllers_file(shop: Shop) -> None:
    shop.write(backend="acme")
    found = crate("--in-cluster", "--image", "i", "--backend", "shipper", "--shipper-world", "another")
    told = found["controller"]["stack_file"]
    (shop.folder / "fs.yaml").write_text(told)
    again = crate("--in-cluster", "--image", "i")
    assert again["controller"]["stack_file"] == told
    assert "backend: shipper" in told and "world: another" in told


def test_a_load_balancer_on_the_pods_loopback_is_refused(shop: Shop) -> None:
    file = shop.folder / "fs.yaml"
    file.write_text(file.read_text() + 'load_balancer: {plugin: acme, address: "127.0.0.1:1"}\n')
    assert refused("-o", "crate", "--in-cluster", "--image", "i") == [
        "fs: fs.yaml: load_balancer.address: 127.0.0.1:1 is the pod's own loopback, where nobody else gets to; "
        'in the cluster write "0.0.0.0:1"'
    ]


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (
            ("-o", "create"),
            "-o create: backend shipper has no such form; there are crate (one stream), boxes (a folder)"
            "; did you mean crate?",
        ),
        (("-o", "jsn", "--backend", "acme"), "-o jsn: backend acme exports nothing, so -o takes table, json"),
        (("-o", "boxes"), "-o boxes is several files: say where they go with --to DIR"),
        (("-o", "crate", "--to", "x"), "-o crate is one stream: leave --to out and send it to a file"),
        (("--to", "x"), "--to is for exports: say in which form with -o FORM"),
        (("--in-cluster",), "--in-cluster is for exports: say in which form with -o FORM"),
        (("-o", "crate", "--in-cluster"), "--in-cluster needs --image IMAGE"),
        (("-o", "crate", "--in-cluster", "--image", "i", "--no-controller"), "--in-cluster exports a controller"),
        (("-o", "crate", "--image", "i"), "--image and --host are for --in-cluster"),
        (("-o", "crate", "--to", "fs.yaml"), "Invalid value for '--to'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_can_not_be_exported_is_a_line(shop: Shop, argv: tuple[str, ...], line: str) -> None:
    assert refused(*argv)[0].startswith(f"fs: {line}")
    assert {path.name for path in shop.folder.iterdir()} <= {"fs.yaml", "site-packages"}


def test_of_two_backends_that_export_so_one_must_be_named(shop: Shop) -> None:
    file = shop.folder / "fs.yaml"
    text = file.read_text().replace("acme: {orchestrator: acme}", "east: {orchestrator: shipper}")
    file.write_text(text.replace("name: code,", "name: code, backend: east,"))
    assert refused("-o", "crate") == [
        "fs: -o crate: shipper and east can be exported so: say which with --backend NAME"
    ]
    assert set(crate("--backend", "east")["boxes"]) == {"Box/chat", "Box/code"}
