import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsight_serve_vllm.model_cache import MANIFEST, digest_files, fill, is_whole

FILES = {"config.json": b"{}", "weights/model.safetensors": bytes(range(256)) * 40}


class Maker:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, folder) -> None:
        self.calls += 1
        for name, content in FILES.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)


@pytest.fixture
def make() -> Maker:
    return Maker()


@pytest.fixture
def lines() -> list[str]:
    return []


def contents(folder) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_it_is_made_once(tmp_path, make, lines):
    folder = tmp_path / "cache" / "model"
    fill(folder, make, lines.append)
    fill(folder, make, lines.append)
    assert make.calls == 1
    assert contents(folder) == FILES
    assert lines == []


@pytest.mark.parametrize(
    "damage", ["cut", "flipped", "removed", "added", "no manifest", "half a manifest", "other kind"]
)
def test_damage_is_seen_and_mended(tmp_path, make, lines, damage):
    folder = tmp_path / "model"
    fill(folder, make, lines.append)
    weights, manifest = folder / "weights/model.safetensors", folder / MANIFEST
    content = weights.read_bytes()
    match damage:
        case "cut":
            weights.write_bytes(content[:-1])
        case "flipped":
            weights.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        case "removed":
            weights.unlink()
        case "added":
            (folder / "extra").write_bytes(b"")
        case "no manifest":
            manifest.unlink()
        case "half a manifest":
            manifest.write_text(manifest.read_text()[:20])
        case "other kind":
            manifest.write_text("[]")
    assert not is_whole(folder)
    fill(folder, make, lines.append)
    assert is_whole(folder)
    assert contents(folder) == FILES
    assert lines == [f"{folder} is damaged: making it again"]


def test_a_failed_maker_leaves_nothing_behind(tmp_path, make, lines):
    def fail(folder) -> None:
        make(folder)
        raise RuntimeError("no space")

    with pytest.raises(RuntimeError, match="no space"):
        fill(tmp_path / "model", fail, lines.append)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_what_a_killed_maker_left_is_swept(tmp_path, make, lines):
    left = tmp_path / ".model.partial-xyz"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    fill(tmp_path / "model", make, lines.append)
    assert not left.exists()


def test_a_second_maker_waits_and_finds_it_made(tmp_path, make, lines):
    folder, entered, release = tmp_path / "model", threading.Event(), threading.Event()

    def slowly(target) -> None:
        make(target)
        entered.set()
        assert release.wait(10)

    waiting = threading.Event()
    first = threading.Thread(target=fill, args=(folder, slowly, lines.append))
    second = threading.Thread(target=fill, args=(folder, make, lambda line: (lines.append(line), waiting.set())))
    first.start()
    assert entered.wait(10)
    second.start()
    assert waiting.wait(10)
    release.set()
    first.join(10)
    second.join(10)
    assert make.calls == 1
    assert lines == ["Another process prepares model: waiting for it"]


@settings(deadline=None)  # the machine may be busy
@given(st.dictionaries(st.text("abc", min_size=1), st.binary(), min_size=1))
def test_a_manifest_tells_any_two_folders_apart(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("folder")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    digests = digest_files(folder)
    (folder / MANIFEST).write_text(json.dumps(digests))
    assert digests.keys() == files.keys()
    assert is_whole(folder)
    name = min(files)
    (folder / name).write_bytes(files[name] + b"x")
    assert not is_whole(folder)
