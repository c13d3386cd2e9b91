"""The runbook's commands as a drill reads them, and that text and drills are of one mind."""

import pytest

from finsight_serve.domain import Alert
from finsight_serve.drill.catalogue import DRILLS, NOT_DRILLED
from finsight_serve.drill.drill import Command, Deed, Drill, text_of
from finsight_serve.drill.runbook import PARTS, fill, parse, placeholders, read_text
from finsight_serve.host import Host
from finsight_serve.observability.alerts import alerts

TEXT = """# Title

## The state in one minute

no parts

## Disk full

Heals by
itself.

- **Symptoms** none
- **Check** Look, and `fs status`; `fs` alone is no command.
  ```
  df -h STATE
  fs logs controller | grep -E 'a#b|c'      # why
  # a comment alone
  ```
- **Act** Free space first. Then `truncate -s 0 STATE/x` or
  [controller down](#controller-down).
- **Verify** `fs ledger --since 1m`

## Controller down

Nobody starts it but you.

- **Symptoms** none
- **Check** none
- **Act** `kill -9 PID`, then `kill -TERM PID`, `fs serve --detach`
- **Verify** none
"""
SECTIONS = parse(TEXT)
DISK = SECTIONS["disk-full"]
SHIPPED = parse(read_text())


def drill(name: str) -> Drill:
    (found,) = [one for one in DRILLS if one.name == name]
    return found


def every_alert() -> tuple[Alert, ...]:
    host = Host()
    plugins = [host.load(row.kind, row.name) for row in host.installed() if row.kind == "orchestrator" and row.usable]
    return alerts([alert for plugin in plugins for alert in getattr(plugin, "alerts", ())])


def test_sections_are_those_with_four_parts() -> None:
    assert list(SECTIONS) == ["disk-full", "controller-down"]
    assert DISK.title == "Disk full" and DISK.about == "Heals by itself." and DISK.heals_by_itself
    assert not SECTIONS["controller-down"].heals_by_itself
    assert tuple(DISK.parts) == PARTS


def test_commands_are_those_of_blocks_and_sentences_in_order_and_without_comments() -> None:
    assert DISK.commands("Check") == ("fs status", "df -h STATE", "fs logs controller | grep -E 'a#b|c'")
    assert DISK.commands("Act") == ("truncate -s 0 STATE/x",)


def test_a_command_is_named_by_its_first_words() -> None:
    down = SECTIONS["controller-down"]
    assert down.command("Act", "kill -9") == "kill -9 PID"
    with pytest.raises(LookupError, match="2 commands begin with 'kill'"):
        down.command("Act", "kill")
    with pytest.raises(LookupError, match="0 commands begin with 'fs ser'"):
        down.command("Act", "fs ser")


def test_what_the_text_leaves_open_is_filled_in_and_quoted() -> None:
    assert placeholders("fs migrate TENANT --to OTHER-DEPLOYMENT") == {"TENANT", "OTHER-DEPLOYMENT"}
    assert fill("du -sh STATE/* STATE/*/*", {"STATE": "/a b"}) == "du -sh '/a b'/* '/a b'/*/*"
    assert fill("curl -sS URL/health", {"URL": "http://h:1"}) == "curl -sS http://h:1/health"
    assert fill("fs ledger M1", {}) == "fs ledger M1"
    assert fill("kill -TERM PID", {}) is None  # TERM is a signal's name, PID is not known


def test_a_step_that_the_text_does_not_say_is_found_out() -> None:
    assert text_of(Deed("Free space", lambda _: None), DISK, SECTIONS) == "Free space first."
    assert text_of(Command("fs serve --detach", "controller-down"), DISK, SECTIONS) == "fs serve --detach"
    with pytest.raises(LookupError, match="0 sentences begin with 'Buy a disk'"):
        text_of(Deed("Buy a disk", lambda _: None), DISK, SECTIONS)
    with pytest.raises(LookupError, match="does not send to disk-full"):
        text_of(Command("truncate", "disk-full"), SECTIONS["controller-down"], SECTIONS)


@pytest.mark.parametrize("one", DRILLS, ids=lambda one: one.name)
def test_each_drill_does_what_its_section_says(one: Drill) -> None:
    own = SHIPPED[one.section]
    for step in one.steps:
        assert text_of(step, own, SHIPPED)
    if not one.steps:
        assert own.heals_by_itself


@pytest.mark.parametrize("one", DRILLS, ids=lambda one: one.name)
def test_each_drill_waits_for_an_alert_of_its_section(one: Drill) -> None:
    own = {alert.name for alert in every_alert() if alert.runbook == one.section}
    if one.is_any_alert:
        assert not own or one.alert in SHIPPED[one.section].parts["Symptoms"]
    else:
        assert own and (not one.alert or one.alert in own)
    longest_s = max(
        (a.for_s for a in every_alert() if a.name == one.alert or (not one.alert and a.name in own)), default=0
    )
    assert longest_s <= one.wait_s


def test_every_section_is_drilled_or_says_why_not() -> None:
    drilled = {one.section for one in DRILLS}
    assert drilled | NOT_DRILLED.keys() == SHIPPED.keys()
    assert drilled & NOT_DRILLED.keys() == set()
    assert {alert.runbook for alert in every_alert()} <= drilled
    assert len(NOT_DRILLED) <= 3


def test_names_are_unique() -> None:
    assert len({one.name for one in DRILLS}) == len(DRILLS)
    assert drill("controller-down").loses_nothing
