"""Tables for the end of the run; FS_K8S_REPORT names a file that gets them too."""

import os
from pathlib import Path

import pytest
from tabulate import tabulate

Row = tuple[object, ...]
Tables = dict[tuple[str, tuple[str, ...]], list[Row]]
TABLES = pytest.StashKey[Tables]()


def report(config: pytest.Config, title: str, header: tuple[str, ...], *rows: Row) -> None:
    """Adds to the table of that title."""
    config.stash.setdefault(TABLES, {}).setdefault((title, header), []).extend(rows)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    texts = []
    for (title, header), rows in config.stash.get(TABLES, {}).items():
        table = tabulate(rows, headers=header, tablefmt="simple", disable_numparse=True)
        terminalreporter.section(title)
        terminalreporter.write_line(table)
        texts.append(f"{title}\n\n{table}\n")
    if texts and (path := os.environ.get("FS_K8S_REPORT")):
        Path(path).write_text("\n".join(texts))
