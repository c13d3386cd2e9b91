"""CSV files of arrivals, read in chunks so that a file of any size costs bounded memory."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import UserError
from .extra import load
from .servegen import COLUMNS as SERVEGEN
from .trace import Trace

if TYPE_CHECKING:
    from .trace import Array

Kind = Literal["arrivals", "azure", "servegen"]

AZURE = {"TIMESTAMP": "arrival_s", "ContextTokens": "input_tokens", "GeneratedTokens": "output_tokens"}
OURS = ("arrival_s", "tenant", "input_tokens", "output_tokens", "service_s")
TOKENS = ("input_tokens", "output_tokens")
CHUNK_ROWS = 500_000
EPOCH_FROM_S = 1e8
"""From here on `arrival_s` is UTC epoch seconds: a trace of three years from its start is taken for none."""
HINT = f"columns are {', '.join(OURS)}; only the first is needed"


def kind_of(path: Path) -> Kind:
    """By its header. Raises `UserError`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = [name.strip() for name in next(csv.reader([file.readline(65536)]), [])]
    except OSError as error:
        raise UserError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not a CSV file in UTF-8") from None
    if not header:
        raise UserError(f"{path}: is empty; {HINT}")
    if set(SERVEGEN) <= set(header):
        return "servegen"
    if set(AZURE) <= set(header):
        return "azure"
    if "arrival_s" not in header:
        raise UserError(f"{path}:1: no column arrival_s, found {', '.join(header)[:80]}; {HINT}")
    if unknown := [name for name in header if name not in OURS]:
        raise UserError(f"{path}:1: no column is named {unknown[0]}; {HINT}")
    if len(set(header)) < len(header):
        raise UserError(f"{path}:1: a column stands there twice; {HINT}")
    return "arrivals"


def read(path: Path, kind: Kind, max_requests: int) -> Trace:
    """Not yet anchored to a midnight: epoch seconds where `anchored`, seconds after an unknown start else."""
    import numpy as np

    columns: dict[str, list[Array]] = {}
    tenants: dict[str, int] = {}
    rows, last_s = 0, -np.inf
    for chunk in _chunks(path, kind, max_requests):
        _check(path, chunk, rows, last_s)
        rows += len(chunk)
        if rows > max_requests:
            raise _too_long(path, f"more than {max_requests:,}", max_requests)
        last_s = chunk.arrival_s.iloc[-1] if len(chunk) else last_s
        for name in chunk.columns:
            columns.setdefault(name, []).append(_compact(name, chunk[name], tenants))
    if not rows:
        raise UserError(f"{path}: has a header and no rows; {HINT}")
    found = {name: np.concatenate(parts) for name, parts in columns.items()}
    _check_twice(path, found)
    first_s = float(found["arrival_s"][0])
    anchored = kind == "azure" or first_s >= EPOCH_FROM_S
    spans = ((float(np.floor(first_s)), float(np.ceil(last_s)) + 1.0),)
    return Trace(path.stem, start_s=0.0, spans=spans, anchored=anchored, tenants=tuple(tenants), **found)


def _chunks(path: Path, kind: Kind, max_requests: int) -> Any:
    pandas = load("pandas")
    numbers = {name: "float64" for name in OURS if name != "tenant"} | {"tenant": str, "TIMESTAMP": str}
    numbers |= {"ContextTokens": "float64", "GeneratedTokens": "float64"}
    size = path.stat().st_size
    try:
        with pandas.read_csv(
            path, chunksize=CHUNK_ROWS, dtype=numbers, skip_blank_lines=False, skipinitialspace=True, index_col=False
        ) as reader:
            first = True
            for chunk in reader:
                if first and len(chunk) == CHUNK_ROWS:
                    rows = size / _bytes_read(path, CHUNK_ROWS) * CHUNK_ROWS
                    if rows > 2 * max_requests:  # rows differ in length: what is nearer is counted
                        raise _too_long(path, f"about {rows:,.0f}", max_requests)
                first = False
                yield _in_seconds(path, chunk, pandas) if kind == "azure" else chunk
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not a CSV file in UTF-8") from None
    except (ValueError, pandas.errors.ParserError) as error:
        raise _find(path, str(error)) from None


def _bytes_read(path: Path, rows: int) -> int:
    with path.open("rb") as file:
        for _ in range(rows):
            file.readline()
        return file.tell()


def _in_seconds(path: Path, chunk: Any, pandas: Any) -> Any:
    times = pandas.to_datetime(chunk.TIMESTAMP, errors="coerce", utc=True)
    wrong = times.isna().to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        at = chunk.index[row] + 2
        raise UserError(
            f"{path}:{at}: TIMESTAMP must be a time as 2023-11-16 18:17:03, found {chunk.TIMESTAMP.iloc[row]}"
        )
    seconds = times.dt.tz_localize(None).astype("datetime64[ns]").astype("int64") / 1e9
    return chunk.rename(columns=AZURE)[list(AZURE.values())].assign(arrival_s=seconds)


def _check(path: Path, chunk: Any, rows: int, last_s: float) -> None:
    """What can be judged of a chunk whose first row is the file's row `rows`."""
    import numpy as np

    for name in chunk.columns:
        if name == "tenant":
            wrong = chunk[name].isna().to_numpy()
        else:
            numbers = chunk[name].to_numpy()
            wrong = ~((numbers >= 0) & (numbers < 1e11))
        if wrong.any():
            row = int(wrong.argmax())
            value = chunk[name].iloc[row]
            missing = value != value
            what = "is missing" if missing else f"must be at least 0, found {value:g}"
            raise UserError(f"{path}:{rows + row + 2}: {name} {what}")
    arrival_s = chunk.arrival_s.to_numpy()
    back = np.diff(arrival_s, prepend=last_s) < 0
    if back.any():
        row = int(back.argmax())
        before = arrival_s[row - 1] if row else last_s
        raise UserError(
            f"{path}:{rows + row + 2}: arrival_s {arrival_s[row]:.15g} comes after {before:.15g}; sort the rows by time"
        )


def _check_twice(path: Path, found: dict[str, "Array"]) -> None:
    """The same row twice is a request counted twice, as after a join. The same time alone is not: bursts are real."""
    import numpy as np

    same = np.flatnonzero(np.diff(found["arrival_s"]) == 0)
    if not len(same):
        return
    rows = np.union1d(same, same + 1)
    table = load("pandas").DataFrame({name: column[rows] for name, column in found.items()})
    twice = table.duplicated().to_numpy()
    if twice.any():
        row = int(rows[twice.argmax()])
        at_s = found["arrival_s"][row]
        raise UserError(
            f"{path}:{row + 2}: the row of arrival_s {at_s:.15g} stands there twice, which counts a request twice;"
            " drop it, or tell the two apart by finer times or a tenant column"
        )


def _compact(name: str, column: Any, tenants: dict[str, int]) -> "Array":
    import numpy as np

    if name == "arrival_s":
        return column.to_numpy(np.float64)  # type: ignore[no-any-return]
    if name == "service_s":
        return column.to_numpy(np.float32)  # type: ignore[no-any-return]
    if name in TOKENS:
        return column.to_numpy().astype(np.int32)  # type: ignore[no-any-return]
    for one in column.unique():
        tenants.setdefault(one, len(tenants))
    return column.map(tenants).to_numpy(np.int16)  # type: ignore[no-any-return]


def _too_long(path: Path, found: str, most: int) -> UserError:
    return UserError(f"{path}: {found} requests; at most {most:,} can be simulated: cut it, or give single days")


def _find(path: Path, error: str) -> UserError:
    """The first row that is no row of numbers; only called when one is wrong."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(file)
        header = [name.strip() for name in next(reader)]
        for row in reader:
            if len(row) > len(header):
                return UserError(f"{path}:{reader.line_num}: has {len(row)} columns, the header {len(header)}")
            for name, text in zip(header, row, strict=False):
                if name not in ("tenant", "TIMESTAMP") and text.strip() and not _is_number(text):
                    return UserError(f"{path}:{reader.line_num}: {name} must be a number, found {text.strip()[:40]}")
    return UserError(f"{path}: {error.splitlines()[0]}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
