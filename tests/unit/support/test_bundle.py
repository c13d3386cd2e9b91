"""What is written: without secrets, whole or not at all, for its owner alone."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.errors import UserError
from finsight_serve.support.bundle import MANIFEST, ROOT, Member, drafted, members, redactor_for
from finsight_serve.support.known import Known
from finsight_serve.support.parts import Found, Missing, Text, Value
from finsight_serve.support.redaction import REMOVED, Redactor

secrets = st.text(min_size=8, max_size=60).filter(lambda text: REMOVED not in text and text not in REMOVED)
paths = st.text(max_size=12)


@st.composite
def findings(draw: st.DrawFn, secret: str) -> list[Found]:
    """The secret in any place of any finding, in any order with what makes it known."""
    around = draw(st.tuples(paths, paths)).__iter__()
    holding = f"{next(around)}{secret}{next(around)}"
    kinds: list[Found] = [
        Text(draw(st.sampled_from(["a.txt", holding])), holding, draw(st.sampled_from(["", holding]))),
        Value("b.json", {holding: holding}, holding),
        Value(holding, [holding, {"c": {"d": (secret,)}}]),
        Missing(holding, holding),
        Known(frozenset({secret})),
    ]
    order: list[Found] = draw(st.permutations(kinds))
    return order


@given(st.data(), secrets)
def test_a_planted_secret_is_in_no_byte(data: st.DataObject, secret: str) -> None:
    found = data.draw(findings(secret))
    about = {"stack": secret, "state": f"/srv/{secret}"}
    made = list(members(found, redactor_for(found, is_sure=True), about))
    assert len(made) == 4
    for member in made:
        assert secret not in member.path and json.dumps(secret)[1:-1] not in member.path
        assert secret.encode() not in member.data and json.dumps(secret)[1:-1].encode() not in member.data


@given(st.lists(st.text(max_size=30) | st.sampled_from(["../../etc/x", "/etc/x", "a//b", "..", MANIFEST]), max_size=6))
def test_every_path_is_its_own_and_stays_below_the_folder(
    tmp_path_factory: pytest.TempPathFactory, given: list[str]
) -> None:
    made = [member.path for member in members([Text(path, "") for path in given], Redactor(), {})]
    assert len(set(made)) == len(made) == len(given) + 1
    for path in made:
        assert not path.startswith("/") and not {"", "."} & set(path.split("/")) and ".." not in path.split("/")


def manifest(found: list[Found]) -> Any:
    last = list(members(found, Redactor(), {"stack": "demo"}))[-1]
    assert last.path == MANIFEST
    return json.loads(last.data)


def test_the_manifest_lists_what_is_there_and_why_the_rest_is_not() -> None:
    found: list[Found] = [
        Text("logs/a.log", "é\n", "the last 3 bytes of it"),
        Missing("metrics.txt", "no controller runs"),
    ]
    assert manifest([*found, Known()]) == {
        "stack": "demo",
        "files": [{"path": "logs/a.log", "bytes": 3, "note": "the last 3 bytes of it"}],
        "missing": [{"what": "metrics.txt", "why": "no controller runs"}],
    }


def test_a_bundle_is_private_and_names_nobody(tmp_path: Path) -> None:
    target = tmp_path / "b.tar.gz"
    with drafted(tmp_path) as draft:
        assert draft.write([Member("a/b.txt", b"one")], 1_000_000.5) == 1
        draft.publish(target, force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar.gz"]
    assert target.stat().st_mode & 0o777 == 0o600
    with tarfile.open(target) as archive:
        (entry,) = archive.getmembers()
        file = archive.extractfile(entry)
        assert file is not None and file.read() == b"one"
    assert (entry.name, entry.mode, entry.uid, entry.uname, entry.mtime) == (f"{ROOT}/a/b.txt", 0o600, 0, "", 1_000_000)


def test_what_is_there_stays_unless_it_is_told_to_go(tmp_path: Path) -> None:
    target = tmp_path / "b.tar.gz"
    target.write_text("mine")
    with drafted(tmp_path) as draft, pytest.raises(FileExistsError):
        draft.publish(target, force=False)
    assert target.read_text() == "mine" and len(list(tmp_path.iterdir())) == 1
    with drafted(tmp_path) as draft:
        draft.write([], 0.0)
        draft.publish(target, force=True)
    assert target.stat().st_mode & 0o777 == 0o600 and tarfile.is_tarfile(target)


def test_nothing_is_left_of_what_broke_off(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), drafted(tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_written_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be written"), drafted(tmp_path / "none"):
        pass
