"""The ledger row by row, as CSV or Parquet: page by page, so that memory does not grow with it."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..store.ledger import Row

if TYPE_CHECKING:
    import pandas as pd

GROUP_ROWS = 100_000
"""In memory at a time, and a row group of the Parquet file."""
TIMES = {"started_s": "started", "ended_s": "ended"}
COLUMNS = tuple(TIMES.get(field.name, field.name) for field in fields(Row))
INTEGERS = ("route_version", "status", "sent_bytes", "prompt_tokens", "completion_tokens")
REALS = ("duration_s", "ttft_s")


def check_format(path: Path) -> None:
    """Raises `UserError`."""
    if path.suffix not in _WRITERS:
        raise UserError(f"--export: the file's name must end in {' or '.join(_WRITERS)}, found {path.name}")
    if path.suffix == ".parquet" and not find_spec("fastparquet"):
        raise UserError("--export: fastparquet is not installed: pip install 'finsight-serve[export]'; or write a .csv")


def export_rows(rows: Iterator[Row], path: Path) -> int:
    """How many. A half-written file never bears the target's name. Raises `UserError` where it can't be written."""
    partial = path.with_name(path.name + ".partial")
    try:
        written = _WRITERS[path.suffix](map(_values, rows), partial)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(f"--export: {path}: {error.strerror or error}; choose another place") from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return written


def _values(row: Row) -> tuple[Any, ...]:
    """As `COLUMNS`; where nobody saw the end, there is none."""
    values = list(_get(row))
    if row.duration_s is None:
        values[COLUMNS.index("ended")] = None
    return tuple(values)


_get = attrgetter(*(field.name for field in fields(Row)))


def _write_csv(rows: Iterator[tuple[Any, ...]], path: Path) -> int:
    at = [COLUMNS.index(name) for name in TIMES.values()]
    written = 0
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow([_timestamp(value) if n in at else value for n, value in enumerate(row)])
            written += 1
    return written


def _timestamp(epoch_s: float | None) -> str:
    return "" if epoch_s is None else f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def _write_parquet(rows: Iterator[tuple[Any, ...]], path: Path) -> int:
    from fastparquet import write

    written = 0
    while (group := list(islice(rows, GROUP_ROWS))) or not written:
        write(
            str(path),
            _frame(group),
            compression="ZSTD",
            object_encoding="utf8",
            write_index=False,
            append=written > 0,
        )
        written += len(group)
        if len(group) < GROUP_ROWS:
            break
    return written


def _frame(rows: list[tuple[Any, ...]]) -> "pd.DataFrame":
    import pandas as pd

    frame = pd.DataFrame(rows, columns=COLUMNS)
    types = {**dict.fromkeys(INTEGERS, "Int64"), **dict.fromkeys(REALS, "float64")}
    frame = frame.astype(types)
    for name in TIMES.values():
        microseconds = (frame[name].astype("float64") * 1e6).round()
        frame[name] = pd.to_datetime(microseconds.astype("Int64"), unit="us", utc=True)
    return frame


_WRITERS: dict[str, Callable[[Iterator[tuple[Any, ...]], Path], int]] = {".csv": _write_csv, ".parquet": _write_parquet}
