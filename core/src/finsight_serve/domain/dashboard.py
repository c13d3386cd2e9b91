"""A dashboard as a value: what is asked of Prometheus, and how its answer is to be read; nothing of who draws it.

In a query `$stack`, `$deployment`, `$tenant` and `$backend` are what was chosen on the page, to be matched by `=~`, and
`$__rate_interval` is a window that holds several scrapes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Unit = Literal["count", "ratio", "seconds", "bytes", "requests/s", "tokens/s"]
Health = Literal["ok", "warning", "critical"]
Kind = Literal["graph", "number", "states", "table"]


@dataclass(frozen=True)
class Query:
    expr: str  # PromQL
    legend: str = ""  # "{{deployment}}" is the label's value; of a table the heading of its values
    is_bound: bool = False  # what the others must not pass; drawn apart from them


@dataclass(frozen=True)
class Step:
    """From this value on things are so; the first of a panel has none and begins below all others."""

    health: Health
    at: float | None = None


@dataclass(frozen=True)
class State:
    text: str
    health: Health


@dataclass(frozen=True)
class Panel:
    title: str
    unit: Unit
    queries: tuple[Query, ...]
    says: str  # one sentence
    kind: Kind = "graph"
    alerts: tuple[str, ...] = ()  # names of those that watch what is shown here: their runbook sections are its links
    steps: tuple[Step, ...] = ()
    states: tuple[State, ...] = ()  # of kind "states": what the values 0, 1, 2, … mean
    width: int = 8  # of 24 columns
    stacked: bool = False


@dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    name: str  # in its address and its file's name: letters, digits and "-", at most 31
    title: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> Iterator[Panel]:
        return (panel for row in self.rows for panel in row.panels)

    @property
    def queries(self) -> Iterator[Query]:
        return (query for panel in self.panels for query in panel.queries)
