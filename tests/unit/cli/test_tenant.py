import csv
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import anyio
import pytest

from finsight_serve.cli.bringup import issue_missing_keys
from finsight_serve.cli.stored import stored_state
from finsight_serve.cli.tenant_usage import month_of
from finsight_serve.controller.session import hold
from finsight_serve.errors import UserError
from finsight_serve.plugin import Request
from finsight_serve.processes import SystemClock
from finsight_serve.stack.values import Tenant

from ...terminal import END_OF_INPUT, NO, YES, answer
from .ended import STACK, done, durable, run

FS = (sys.executable, "-m", "finsight_serve")
NO_CONTROLLER = "No controller runs: it is stored, and in force from the next `fs serve` on."


def refused(folder: Path, *argv: str) -> str:
    before = stored_state(folder).durable
    result = run(*argv)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert stored_state(folder).durable == before
    return result.stderr.splitlines()[0]


def hashed(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def test_an_added_tenants_key_stands_alone_on_stdout_and_is_stored_hashed(ended: Path) -> None:
    result = done("tenant", "add", "acme", "--deployment", "code", "--rps", "2.5", "--max-ongoing", "8")
    (key,) = result.stdout.splitlines()
    assert key.startswith("fs-")
    assert result.stderr == f"Added tenant acme on code; its key is shown this once. {NO_CONTROLLER}\n"
    stored = durable(ended)
    assert stored.tenant_key_sha256["acme"] == (hashed(key),)
    assert stored.added_tenants["acme"] == Tenant("acme", "code", 8, 2.5)
    assert not any(key.encode() in path.read_bytes() for path in ended.iterdir() if path.is_file())


def test_a_key_as_json_says_whose_it_is(ended: Path) -> None:
    made = json.loads(done("tenant", "add", "acme", "-o", "json").stdout)
    assert made["tenant"] == "acme" and durable(ended).tenant_key_sha256["acme"] == (hashed(made["key"]),)
    assert durable(ended).added_tenants["acme"].deployment == "chat", "the first one"


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("add", "default"), "tenant default: is in fs.yaml already; `fs tenant rotate default` makes it a new key"),
        (("add", "Bad_Name"), "tenant Bad_Name: its name must be 1 to 40 of a-z, 0-9 and inner hyphens"),
        (("add", "acme", "--deployment", "cod"), "tenant acme: no deployment is named cod; did you mean code?"),
        (
            ("add", "acme", "--rps", "0"),
            "Invalid value for '--rps': must be a number above 0 and at most 1,000,000, or none",
        ),
        (
            ("add", "acme", "--rps", "1000001"),
            "Invalid value for '--rps': must be a number above 0 and at most 1,000,000",
        ),
        (("add", "acme", "--rps", "nan"), "Invalid value for '--rps': must be a number above 0 and at most 1,000,000"),
        (
            ("set", "acme", "--tokens-per-minute", "1000000000001"),
            "Invalid value for '--tokens-per-minute': must be a whole number above 0 and at most 1,000,000,000,000",
        ),
        (("add", ""), "tenant '': its name must be 1 to 40 of a-z, 0-9 and inner hyphens"),
        (("add", "acme", "--max-ongoing", "1.5"), "Invalid value for '--max-ongoing': must be a whole number above 0"),
        (("rotate", "defualt"), "tenant defualt: not in this stack; did you mean default?"),
        (("rotate", "default", "--grace", "soon"), "Invalid value for '--grace': must be a time as"),
        (("rotate", "default", "--grace", "400d"), "tenant default: the earlier keys' grace must be from 0s to 365d"),
        (("revoke", "nobody"), "tenant nobody: not in this stack; it has default"),
        (
            ("revoke", "default"),
            "nobody can be asked here: `fs tenant revoke default --yes` does it without a question",
        ),
        (("set", "default", "--rps", "1"), "tenant default: is in fs.yaml; change it there, then `fs apply`"),
        (("set", "default"), "nothing to change: give --rps, --max-ongoing or --tokens-per-minute"),
        (("remove", "default", "--yes"), "tenant default: is in fs.yaml; take it out there, then `fs serve`"),
        (("remove", "nobody", "--yes"), "tenant nobody: not in this stack; it has default"),
        (("show", "nobody"), "tenant nobody: not in this stack; it has default"),
        (("usage", "--month", "2026-13"), "--month: must be a month as 2026-11, found 2026-13"),
        (("usage", "--csv", "none/u.csv"), "none/u.csv: none is no folder; make it first"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_refused_changes_nothing(ended: Path, argv: tuple[str, ...], why: str) -> None:
    assert refused(ended, "tenant", *argv).startswith(f"fs: {why}")


@pytest.mark.parametrize("command", ["add", "rotate", "revoke", "remove", "show"])
def test_before_anything_was_served_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("FS_STATE_DIR", str(tmp_path / "none"))
    result = run("tenant", command, "acme")
    assert result.exit_code == 2 and "nothing was served" in result.stderr
    assert not (tmp_path / "none").exists()


def test_rotated_both_hold_for_a_day_unless_told_otherwise(ended: Path) -> None:
    (first,) = durable(ended).tenant_key_sha256["default"]
    result = done("tenant", "rotate", "default")
    stored = durable(ended)
    assert stored.tenant_key_sha256["default"] == (first, hashed(result.stdout.strip()))
    assert stored.key_ends_s[first] == pytest.approx(SystemClock().now() + 86400, abs=60)
    assert "earlier ones hold for 1 d more." in result.stderr
    leaked = done("tenant", "rotate", "default", "--grace", "0s")
    assert durable(ended).tenant_key_sha256["default"] == (hashed(leaked.stdout.strip()),)
    assert "earlier ones end." in leaked.stderr


def test_a_revoked_tenant_of_the_file_gets_no_key_by_being_served_again(ended: Path) -> None:
    result = done("tenant", "revoke", "default", "--yes")
    assert result.stderr == f"Revoked its key. {NO_CONTROLLER}\n"
    assert done("tenant", "revoke", "default", "--yes").stderr == "Tenant default has no key that holds.\n"
    with hold(ended) as held:
        assert issue_missing_keys(held, STACK, SystemClock()) == {}
    assert durable(ended).tenant_key_sha256["default"] == ()
    again = done("tenant", "rotate", "default").stderr
    assert again == f"The new key of tenant default is shown this once. {NO_CONTROLLER}\n", "no earlier one is left"


@pytest.mark.parametrize(
    ("typed", "code", "last"), [(NO, 1, "Nothing was changed."), (END_OF_INPUT, 130, "fs: interrupted")]
)
@pytest.mark.parametrize("command", ["revoke", "remove"])
def test_who_says_no_has_changed_nothing(ended: Path, command: str, typed: str, code: int, last: str) -> None:
    done("tenant", "add", "acme")
    before = durable(ended)
    asked = answer(typed, [*FS, "tenant", command, "acme"])
    assert (asked.returncode, asked.stdout) == (code, "")
    assert asked.stderr.endswith(f"? [y/N]: {last}\n"), "the line's end was typed"
    assert durable(ended) == before


def test_who_says_yes_has(ended: Path) -> None:
    assert answer(YES, [*FS, "tenant", "revoke", "default"]).returncode == 0
    assert durable(ended).tenant_key_sha256["default"] == ()


@pytest.mark.parametrize(
    ("command", "otherwise"),
    [
        ("add", "tenant lost is added; `fs tenant rotate lost --grace 0s` makes another key"),
        ("rotate", "tenant lost has it; `fs tenant rotate lost` makes another key"),
    ],
)
@pytest.mark.parametrize(("where", "why"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")])
def test_a_key_that_nobody_saw_can_be_had_anew(ended: Path, command: str, otherwise: str, where: str, why: str) -> None:
    if command == "rotate":
        done("tenant", "add", "lost")
    fs = f"{shlex.join([*FS, 'tenant', command, 'lost'])} {where}"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # as in most shells
    result = subprocess.run(["sh", "-c", fs], capture_output=True, text=True, timeout=60, env=env)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == f"fs: the key could not be written ({why}): {otherwise}"
    assert len(durable(ended).tenant_key_sha256["lost"]) == (1 if command == "add" else 2)


def test_first_keys_of_thousands_are_made_in_one_go(tmp_path: Path) -> None:
    many = tuple(Tenant(f"t{n}", "chat") for n in range(5_000))
    with hold(tmp_path / "s") as held:
        keys = issue_missing_keys(held, replace(STACK, tenants=many), SystemClock())
    stored = durable(tmp_path / "s").tenant_key_sha256
    assert len(stored) == 5_000 and all(stored[name] == (hashed(key),) for name, key in keys.items())


def test_set_changes_what_is_given_and_lifts_what_is_none(ended: Path) -> None:
    done("tenant", "add", "acme", "--rps", "2.5", "--max-ongoing", "8")
    result = done("tenant", "set", "acme", "--rps", "NONE", "--tokens-per-minute", "900")
    assert result.stderr.startswith("Tenant acme: 8 at a time, 900 tokens/min.")
    assert durable(ended).added_tenants["acme"] == Tenant("acme", "chat", 8, None, 900)


def test_removed_it_is_gone(ended: Path) -> None:
    done("tenant", "add", "acme")
    done("tenant", "remove", "acme", "--yes")
    assert "acme" not in durable(ended).added_tenants and "acme" not in durable(ended).tenant_key_sha256


def test_list_counts_keys_and_shows_none(ended: Path) -> None:
    done("tenant", "add", "acme", "--deployment", "code", "--rps", "2.5")
    done("tenant", "rotate", "acme", "--grace", "1h")
    rows = json.loads(done("tenant", "list", "-o", "json").stdout)
    ends = rows[1].pop("earlier_keys_end")
    assert ends is not None and rows[0].pop("earlier_keys_end") is None
    limits = {"max_ongoing_requests": None, "requests_per_s": None, "tokens_per_minute": None}
    assert rows == [
        {"name": "default", "from": "fs.yaml", "weights": {"chat": 100}, **limits, "keys": 1},
        {"name": "acme", "from": "added", "weights": {"code": 100}, **limits, "requests_per_s": 2.5, "keys": 2},
    ]
    done("tenant", "set", "acme", "--max-ongoing", "16", "--tokens-per-minute", "1234567")
    table = done("tenant", "list").stdout
    assert "code 100 %" in table and "2.5 requests/s, 16 at a time, 1,234,567 tokens/min" in table
    assert max(map(len, table.splitlines())) <= 120
    for hashes in durable(ended).tenant_key_sha256.values():
        assert not any(one[:8] in table for one in hashes)


def row(id: str, started_s: float, *, tenant: str = "default", source: str = "usage") -> Request:
    tokens = (7, 5) if source else (None, None)
    return Request(
        id,
        id,
        tenant,
        "chat",
        "127.0.0.1:1",
        200,
        "complete",
        started_s,
        1.0,
        0.1,
        1,
        10,
        *tokens,
        source,  # type: ignore[arg-type]
    )


@pytest.fixture
def november(ended: Path) -> Iterator[Path]:
    """Rows at both edges of the month, and within."""
    _, from_s, until_s = month_of("2026-11", 0.0)
    rows = [
        row("a", from_s - 0.001),
        row("b", from_s),
        row("c", until_s - 0.001, source="chunks"),
        row("d", from_s + 9.0, source=""),
        row("e", from_s + 9.0, tenant="acme"),
        row("f", until_s),
    ]
    with hold(ended) as held:
        anyio.run(held.ledger.add, rows)
    yield ended


def test_a_months_usage_is_exported(november: Path) -> None:
    expected = [
        {"tenant": "acme", "deployment": "chat", "requests": 1, "prompt_tokens": 7, "completion_tokens": 5}
        | {"by_chunks": 0, "uncounted": 0},
        {"tenant": "default", "deployment": "chat", "requests": 3, "prompt_tokens": 14, "completion_tokens": 10}
        | {"by_chunks": 1, "uncounted": 1},
    ]
    assert json.loads(done("tenant", "usage", "--month", "2026-11", "-o", "json").stdout) == expected
    result = done("tenant", "usage", "--month", "2026-11", "--csv", "u.csv")
    assert (result.stdout, result.stderr) == ("", "Wrote 2 rows of 2026-11 to u.csv.\n")
    with Path("u.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert read == [{"month": "2026-11", **{key: str(value) for key, value in one.items()}} for one in expected]
    Path("full.csv.partial").symlink_to("/dev/full")
    failed = run("tenant", "usage", "--csv", "full.csv")
    assert (failed.exit_code, failed.stderr) == (
        2,
        "fs: --csv: full.csv: No space left on device; choose another place\n",
    )
    assert not any(Path().glob("full.csv*"))
    assert json.loads(done("tenant", "usage", "--month", "2026-12", "-o", "json").stdout)[0]["requests"] == 1


@pytest.mark.parametrize(
    ("month", "days"), [("2026-02", 28), ("2028-02", 29), ("2026-12", 31), ("2026-11", 30), (None, 31)]
)
def test_months_are_utc_and_whole(month: str | None, days: int) -> None:
    name, from_s, until_s = month_of(month, 0.0)
    assert name == (month or "1970-01") and until_s - from_s == days * 86400


@pytest.mark.parametrize("month", ["2026-1", "2026-00", "11-2026", "9999-12", "2026-11-01", "1969-12"])
def test_what_is_no_month(month: str) -> None:
    with pytest.raises(UserError, match=f"--month: must be a month as 2026-11, found {month}"):
        month_of(month, 0.0)


def test_show_says_all_of_one(ended: Path) -> None:
    now_s = SystemClock().now()
    with hold(ended) as held:
        anyio.run(held.ledger.add, [row("a", now_s), row("b", now_s, tenant="other")])
    shown = json.loads(done("tenant", "show", "default", "-o", "json").stdout)
    assert shown["tenant"]["keys"] == 1 and shown["tenant"]["open_requests"] is None
    assert [one["requests"] for one in shown["usage"]] == [1] and shown["migration"] == []
    assert "usage 20" in done("tenant", "show", "default").stdout
