"""`python docs/record_benchmark.py FILE`: puts what `python -m benchmarks -o json > FILE` measured into the README."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- /measured -->)", re.DOTALL)
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


def main(file: Path) -> None:
    block = "\n" + "\n\n".join(describe(json.loads(file.read_text(encoding="utf-8")))) + "\n\n"
    README.write_text(BLOCK.sub(lambda _: block, README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
