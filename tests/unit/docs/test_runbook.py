"""The runbook has a section for every alert, and its commands are ones that there are."""

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import click
import pytest

from finsight_serve.cli.main import COMMANDS, cli
from finsight_serve.domain import Alert
from finsight_serve.host import Host
from finsight_serve.observability.alerts import RUNBOOK, alerts
from finsight_serve.observability.metrics import METRICS

TEXT = (Path(__file__).parents[3] / "runbooks" / RUNBOOK).read_text(encoding="utf-8")
SECTIONS = {
    heading.lower().replace(" ", "-"): body
    for heading, body in re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", TEXT, flags=re.MULTILINE)
}
"""By the anchor that GitHub gives a heading of words and hyphens."""
FIRST = "the-state-in-one-minute"
WITHOUT_ALERT = {"cold-start-cascade", "oscillation", "migrating-to-kubernetes", "rolling-back"}
PARTS = ["Symptoms", "Check", "Act", "Verify"]
FENCE = re.compile(r"^ *```\n(.*?)^ *```$", flags=re.DOTALL | re.MULTILINE)
OPERATORS = {"|", "||", "&&", ";", ">"}


def every_alert() -> tuple[Alert, ...]:
    host = Host()
    plugins = [
        host.load(row.kind, row.name) for row in host.installed() if row.kind in ("orchestrator", "load_balancer")
    ]
    return alerts([alert for plugin in plugins for alert in getattr(plugin, "alerts", ())])


ALERTS = every_alert()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_has_its_section_which_names_it(alert: Alert) -> None:
    assert f"`{alert.name}`" in SECTIONS[alert.runbook]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_the_table_sends_an_alert_where_its_link_does(alert: Alert) -> None:
    (row,) = [line for line in SECTIONS[FIRST].splitlines() if line.startswith("| `") and f"`{alert.name}`" in line]
    assert f"(#{alert.runbook})" in row


def test_every_section_is_some_alerts_or_known_to_be_nobodys() -> None:
    assert SECTIONS.keys() - {FIRST} - WITHOUT_ALERT == {alert.runbook for alert in ALERTS}
    assert SECTIONS.keys() >= WITHOUT_ALERT


def test_it_names_no_alert_and_no_metric_that_there_is_not() -> None:
    assert set(re.findall(r"`((?:FinSight|Ray)[A-Z]\w+)`", TEXT)) == {alert.name for alert in ALERTS}
    assert set(re.findall(r"\bfinsight_\w+(?<!_runbook)", TEXT)) <= {metric.sample for metric in METRICS}


@pytest.mark.parametrize("anchor", sorted(SECTIONS.keys() - {FIRST}))
def test_a_section_has_its_four_parts_in_order(anchor: str) -> None:
    _, *parts = re.split(r"^- \*\*(\w+)\*\*", SECTIONS[anchor], flags=re.MULTILINE)
    assert parts[::2] == PARTS
    assert all(said.strip() for said in parts[1::2])
    assert "`fs status`" in parts[1]  # of the symptoms: what it says


def lines() -> Iterator[str]:
    """Of code blocks, and whole commands within sentences: a name alone speaks of the command."""
    for block in FENCE.findall(TEXT):
        yield from block.splitlines()
    for inline in re.findall(r"`([^`\n]+)`", FENCE.sub("", TEXT)):
        if inline.startswith("fs ") or " fs " in inline:
            yield inline


def commands(line: str) -> Iterator[Sequence[str]]:
    """The arguments of each `fs` in a shell's line."""
    words = shlex.split(line, comments=True)
    begins = True
    for index, word in enumerate(words):
        if begins and word == "fs":
            yield list(takewhile(lambda one: one not in OPERATORS, words[index + 1 :]))
        begins = word in {*OPERATORS, "--"}


FOUND = sorted({tuple(argv) for line in lines() for argv in commands(line)})


def test_there_are_commands() -> None:
    assert len(FOUND) > 40
    assert {argv[0] for argv in FOUND} <= COMMANDS.keys()


@pytest.mark.parametrize("argv", FOUND, ids=" ".join)
def test_a_command_and_its_options_are_real(
    argv: Sequence[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parsed: list[dict[str, Any]] = []
    monkeypatch.setattr(click.Command, "invoke", lambda _, ctx: parsed.append(ctx.params))
    monkeypatch.chdir(tmp_path)
    for name in argv:
        if re.fullmatch(r"\w+\.\w[\w.]*", name):
            Path(name).touch()  # what the command is given to read
    cli.main(list(argv), standalone_mode=False)  # raises for what can't be parsed, and does nothing
    assert parsed
    # a mistyped command of `fs migrate` would be a tenant that goes nowhere
    assert argv[0] != "migrate" or all(params.get("to", "-") for params in parsed)
    assert not any(params.get("backend_flags") for params in parsed)  # there, what click does not know ends
