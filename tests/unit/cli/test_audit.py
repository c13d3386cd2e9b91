import json
from pathlib import Path

import pytest

from finsight_serve.cli.intents import who

from .ended import done, durable, run


def test_who_changed_what(ended: Path) -> None:
    done("tenant", "add", "acme", "--rps", "2")
    done("tenant", "set", "acme", "--rps", "3")
    done("tenant", "rotate", "acme", "--grace", "0s")
    done("tenant", "remove", "acme", "--yes")
    rows = json.loads(done("audit", "--subject", "tenant acme", "-o", "json").stdout)
    assert [(one["by"], one["action"]) for one in rows] == [
        (who(), action)
        for action in ("tenant_added", "key_issued", "tenant_changed", "key_rotated", "tenant_removed", "keys_revoked")
    ]
    assert (rows[2]["before"], rows[2]["after"]) == ("added: on chat, 2 requests/s", "added: on chat, 3 requests/s")
    assert list(rows[0]) == ["at", "by", "action", "subject", "before", "after"]


def test_the_newest_come_last_and_first_keys_have_an_author(ended: Path) -> None:
    done("tenant", "add", "acme")
    rows = json.loads(done("audit", "--last", "2", "-o", "json").stdout)
    assert [one["action"] for one in rows] == ["tenant_added", "key_issued"]
    (first,) = json.loads(done("audit", "--subject", "tenant default", "-o", "json").stdout)[:1]
    assert (first["by"], first["action"]) == (who(), "key_issued")


def test_a_key_is_known_by_a_few_digits(ended: Path) -> None:
    key = done("tenant", "rotate", "default").stdout.strip()
    text = done("audit").stdout
    assert key not in text
    for one in durable(ended).tenant_key_sha256["default"]:
        assert one[:8] in text and one[:9] not in text


def test_subjects_are_found_by_whole_words(ended: Path) -> None:
    for name in ("acme", "acme2", "acme-eu"):
        done("tenant", "add", name)
    rows = json.loads(done("audit", "--subject", "tenant acme", "-o", "json").stdout)
    assert {one["subject"] for one in rows} == {"tenant acme"} and len(rows) == 2
    assert done("audit", "--subject", "tenant acm").stdout == "none\n"


def test_a_table_fits_a_terminal_and_says_all(ended: Path) -> None:
    for _ in range(4):
        done("tenant", "rotate", "default")
    lines = done("audit", "--subject", "tenant default").stdout.splitlines()
    assert max(map(len, lines)) <= 120
    rows = json.loads(done("audit", "--subject", "tenant default", "-o", "json").stdout)
    text = " ".join(line.strip() for line in lines)
    assert all(f"{one['before'] or '-'} → {one['after']}" in text for one in rows)


def test_nothing_to_show(ended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert done("audit", "--subject", "nobody").stdout == "none\n"
    assert run("audit", "--last", "0").exit_code == 2
    monkeypatch.setenv("FS_STATE_DIR", str(tmp_path / "none"))
    assert "nothing was served" in run("audit").stderr
