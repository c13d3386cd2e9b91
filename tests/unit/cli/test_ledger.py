import builtins
import csv
import json
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner, Result

from finsight_serve.cli import ledger_export
from finsight_serve.cli.ledger_export import COLUMNS
from finsight_serve.cli.main import cli
from finsight_serve.controller.memory import documents
from finsight_serve.controller.state import Durable, State
from finsight_serve.domain.migration import Migration, ShiftRecord
from finsight_serve.plugin import Request
from finsight_serve.processes import SystemClock
from finsight_serve.stack.values import Tenant
from finsight_serve.store import Ledger, Store

from . import ended

NOW_S = SystemClock().now()
STACK = replace(ended.STACK, tenants=(Tenant("acme", "chat"),))
MOVED = Migration(
    "m1",
    "acme",
    {"chat": 100},
    "code",
    phase="done",
    since_s=NOW_S - 10,
    records=(ShiftRecord(10, NOW_S - 900, 2), ShiftRecord(100, NOW_S - 500, 4)),
)


def request(id: str, deployment: str, version: int, **changes: Any) -> Request:
    whole = Request(
        *("1", id, "acme", deployment, "127.0.0.1:1", 200, "complete", NOW_S - 7000.25, 1.5, 0.25, version, 50),
        *(10, 20, "usage"),
    )
    return replace(whole, **changes)


ROWS = (
    request("a", "chat", 1),
    request("b", "chat", 2, status=502, outcome="failed", ttft_s=None, completion_tokens=None, tokens_from=""),
    request("c", "code", 3, started_s=NOW_S - 600, ttft_s=0.75),
    request("d", "code", 4, started_s=NOW_S - 300, outcome="truncated", completion_tokens=3, tokens_from="chunks"),
    request("e", "code", 4, started_s=NOW_S - 200, status=0, outcome="unknown", replica="", duration_s=None),
    request("f", "code", 4, started_s=NOW_S - 5),
    request("g", "chat", 1, tenant="zeta", status=429, replica="", completion_tokens=None, tokens_from=""),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder that was served, with a ledger and a migration; no controller runs."""
    folder = tmp_path / "s"
    folder.mkdir()
    monkeypatch.setenv("FS_STATE_DIR", str(folder))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SystemClock, "now", lambda self: NOW_S)  # --since counts from it, however long the run takes
    store, ledger = Store(folder), Ledger(folder)
    store.write_now(documents(State(Durable(stack=STACK, migrations={"m1": MOVED}))))
    anyio.run(ledger.add, ROWS)
    store.close()
    ledger.close()
    return folder


def run(*argv: str) -> Result:
    return CliRunner().invoke(cli, ["ledger", *argv])


def shown(*argv: str) -> Any:
    result = run(*argv, "-o", "json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def refused(*argv: str) -> str:
    result = run(*argv)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = [one for one in result.stderr.splitlines() if not one.startswith("fs: try: ")]
    return line


def test_every_tenant_and_deployment_has_a_row(folder: Path) -> None:
    rows = [(r["tenant"], r["deployment"], r["requests"], r["failed"], r["truncated"]) for r in shown()]
    assert rows == [("acme", "chat", 2, 1, 0), ("acme", "code", 4, 0, 1), ("zeta", "chat", 1, 0, 0)]
    assert shown()[2]["turned_away"] == 1
    assert [row["requests"] for row in shown("--deployment", "code")] == [4]
    assert [row["requests"] for row in shown("--since", "15m")] == [4]
    assert "turned_away" in run().stdout


def test_of_a_tenant_tokens_and_times_are_shown(folder: Path) -> None:
    chat, code = shown("acme")
    assert (chat["prompt_tokens"], chat["completion_tokens"], chat["ttft_p50_s"]) == (20, 20, 0.25)
    assert (code["completion_tokens"], code["by_chunks"], code["ttft_p50_s"], code["ttft_p95_s"]) == (63, 1, 0.25, 0.75)
    assert shown("acme", "--since", "1m") == [
        {
            **dict.fromkeys(("truncated", "client_closed", "failed", "unknown", "turned_away", "by_chunks"), 0),
            **{"tenant": "acme", "deployment": "code", "requests": 1, "complete": 1, "uncounted": 0},
            **{"prompt_tokens": 10, "completion_tokens": 20, "ttft_p50_s": 0.25, "ttft_p95_s": 0.25},
        }
    ]
    assert [row["requests"] for row in shown("zeta")] == [1], "removed, but still in the ledger"


def test_of_a_migration_each_step_and_the_proof_are_shown(folder: Path) -> None:
    told = shown("m1")
    steps = [(s["percent"], s["deployment"], s["requests"], s["failed"], s["truncated"]) for s in told["steps"]]
    assert steps == [(10, "code", 1, 0, 0), (10, "chat", 1, 1, 0), (100, "code", 2, 0, 1)]
    whole = {"requests": 4, "failed": 1, "truncated": 1, "client_closed": 0, "unknown": 1, "note": ""}
    assert told["proof"] == whole
    assert told["migration"]["phase"] == "done" and told["migration"]["ended_at"]
    assert "  4 requests, 1 failed, 1 truncated (1 unknown)\n" in run("m1").stdout


def test_the_proof_is_of_the_steps_that_are_shown(folder: Path) -> None:
    told = shown("m1", "--deployment", "chat")
    assert [step["deployment"] for step in told["steps"]] == ["chat"]
    assert (told["proof"]["requests"], told["proof"]["failed"], told["proof"]["unknown"]) == (1, 1, 0)
    assert run("m1", "--deployment", "chat").stdout.endswith("  1 request, 1 failed, 0 truncated at chat\n")


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_parquet(path: Path) -> list[dict[str, str]]:
    from fastparquet import ParquetFile

    with path.open("rb") as file:
        frame = ParquetFile(file).to_pandas()
    assert [str(frame[name].dtype) for name in ("started", "ended")] == ["datetime64[us, UTC]"] * 2
    assert frame["completion_tokens"].dtype == "Int64"
    for name in ("started", "ended"):
        frame[name] = frame[name].dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    rows = frame.astype(object).where(frame.notna(), "").to_dict("records")
    return [{str(key): str(value) for key, value in row.items()} for row in rows]


READERS: dict[str, Callable[[Path], list[dict[str, str]]]] = {"csv": read_csv, "parquet": read_parquet}


@pytest.mark.parametrize("ending", READERS)
def test_every_request_is_exported(folder: Path, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if ending == "parquet":
        pytest.importorskip("fastparquet")
    monkeypatch.setattr(ledger_export, "GROUP_ROWS", 3)
    file = tmp_path / f"rows.{ending}"
    file.write_text("of before")
    result = run("--export", str(file))
    assert (result.exit_code, result.stderr) == (0, f"Wrote 7 requests to {file}.\n")
    rows = READERS[ending](file)
    assert list(rows[0]) == list(COLUMNS)
    by_id = {row["id"]: row for row in rows}
    assert sorted(by_id) == [row.id for row in ROWS]
    d = by_id["d"]
    assert (d["outcome"], d["route_version"], d["sent_bytes"], d["tokens_from"]) == ("truncated", "4", "50", "chunks")
    assert (d["duration_s"], d["ttft_s"], d["completion_tokens"]) == ("1.5", "0.25", "3")
    assert by_id["e"]["ended"] == by_id["e"]["duration_s"] == by_id["b"]["completion_tokens"] == ""
    assert d["started"].endswith("Z") and d["started"] < d["ended"]
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("ending", READERS)
def test_only_what_is_shown_is_exported(folder: Path, tmp_path: Path, ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("fastparquet")
    file = tmp_path / f"rows.{ending}"

    def exported(*argv: str) -> list[str]:
        shown(*argv, "--export", str(file))
        return [row["id"] for row in READERS[ending](file)]

    assert exported("m1") == ["b", "c", "d", "e"]
    assert exported("m1", "--deployment", "chat") == ["b"]
    assert exported("acme", "--since", "1m") == ["f"]
    assert exported("zeta", "--deployment", "code") == []


def test_a_full_disk_leaves_no_half_file(folder: Path, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / "rows.csv.partial").symlink_to("/dev/full")
    assert refused("--export", "rows.csv") == ("fs: --export: rows.csv: No space left on device; choose another place")
    assert not list(tmp_path.glob("rows.csv*"))


def test_what_can_not_be_exported_is_said_before_anything_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        refused("--export", "rows.xls") == "fs: --export: the file's name must end in .csv or .parquet, found rows.xls"
    )
    assert refused("--export", "gone/rows.csv") == "fs: gone/rows.csv: gone is no folder; make it first"
    monkeypatch.setattr(ledger_export, "find_spec", lambda name: None if name == "fastparquet" else find_spec(name))
    assert refused("--export", "rows.parquet") == (
        "fs: --export: fastparquet is not installed: pip install 'finsight-serve[export]'; or write a .csv"
    )


def test_a_name_that_nobody_has_is_refused_with_near_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused("acne") == "fs: acne: no tenant or migration of this name; did you mean acme?"
    assert refused("m11") == "fs: m11: no tenant or migration of this name; did you mean m1?"
    assert refused("xyz") == "fs: xyz: no tenant or migration of this name; there are acme, m1, zeta"
    monkeypatch.setattr("finsight_serve.cli.ledger.MOST_NAMES", 2)
    assert refused("xyz").endswith("; `fs tenant list` and `fs migrate list` show them")
    assert refused("--deployment", "chap") == "fs: --deployment: no deployment named chap; did you mean chat?"
    assert refused("m1", "--since", "1h") == (
        "fs: --since: m1 is a migration, whose steps say since when; leave it out"
    )
    assert "must be a time as" in refused("--since", "soon")


def test_where_nothing_was_served_there_is_no_ledger(tmp_path: Path) -> None:
    line = refused("--state", str(tmp_path / "none"))
    assert line.endswith("none: nothing was served from this state folder yet; start with `fs serve`")
    assert not (tmp_path / "none").exists()


def test_an_empty_ledger_is_none(folder: Path) -> None:
    (folder / "ledger.db").unlink()
    Ledger(folder).close()
    assert run().stdout == "none\n"
    assert run("acme").stdout == "none\n"


def test_without_an_export_nothing_heavy_is_imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, imported = builtins.__import__, set[str]()

    def note(name: str, *args: Any, **options: Any) -> Any:
        imported.add(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", note)
    assert run().exit_code == 0
    assert not {"pandas", "fastparquet"} & imported
