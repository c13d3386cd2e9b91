"""`python docs/record_benchmark.py FILE [measured|tenants|k8s|overload|opening|compose]`: puts figures into documents.

FILE is what `python -m benchmarks -o json` (measured), `python -m benchmarks.tenants -o json` (tenants),
`python -m benchmarks.k8s -o json` (k8s), `python -m benchmarks.overload -o json` (overload),
`python -m benchmarks.market_open_real -o json` (opening) or
`python -m benchmarks.compose_faults -o json` (compose) printed.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCUMENTS = {
    "measured": ROOT / "README.md",
    "tenants": ROOT / "docs" / "tenants.md",
    "k8s": ROOT / "docs" / "kubernetes.md",
    "overload": ROOT / "docs" / "overload.md",
    "opening": ROOT / "docs" / "overload.md",
    "compose": ROOT / "docs" / "operations.md",
}
ABOUT = "about this run"


def describe(report: Mapping[str, Any]) -> Iterator[str]:
    about = report[ABOUT]
    machine = f"{about['cores']} cores, {about['memory_gib']} GiB, {about['system']}"
    yield f"One run on a shared machine without a GPU ({machine}, load average {about['load_average']} at its end):"
    for title, rows in report.items():
        if title != ABOUT:
            yield f"**{title[0].upper()}{title[1:]}**"
            yield "\n".join(table(rows))


def table(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    yield "| " + " | ".join(name.replace("_", " ") for name in rows[0]) + " |"
    yield "|" + "---|" * len(rows[0])
    for row in rows:
        yield "| " + " | ".join("" if value is None else str(value) for value in row.values()) + " |"


def main(file: Path, place: str = "measured") -> None:
    between = re.compile(rf"(?<=<!-- {place} -->\n).*?(?=<!-- /{place} -->)", re.DOTALL)
    block = "\n" + "\n\n".join(describe(json.loads(file.read_text(encoding="utf-8")))) + "\n\n"
    document = DOCUMENTS[place]
    document.write_text(between.sub(lambda _: block, document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
