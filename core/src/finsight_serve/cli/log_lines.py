"""What a controller says while it runs: lines for people, or JSON objects, one a line, for what collects logs."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import click

from ..domain import Event

FORMATS = ("text", "json")


@dataclass(frozen=True)
class Log:
    say: Callable[[str], None]
    tell: Callable[[Event], None]


def log_in(form: str) -> Log:
    return Log(_say_json, _tell_json) if form == "json" else Log(_say_text, _tell_text)


def event_line(event: Event) -> str:
    return f"{event.kind}  {event.subject}  {event.reason}"


def _say_text(line: str) -> None:
    click.echo(f"{datetime.now():%H:%M:%S}  {line}")


def _tell_text(event: Event) -> None:
    _say_text(event_line(event))


def _say_json(line: str) -> None:
    _write(datetime.now(UTC), {"message": line})


def _tell_json(event: Event) -> None:
    """`event` is the stable word that documents list; `subject` what it happened to."""
    more = {"data": dict(event.data)} if event.data else {}
    said = {"event": event.kind, "subject": event.subject, "message": event.reason, **more}
    _write(datetime.fromtimestamp(event.at_s, UTC), said)


def _write(at: datetime, said: Mapping[str, object]) -> None:
    time = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    click.echo(json.dumps({"time": time, **said}, ensure_ascii=False))
