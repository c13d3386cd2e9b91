"""`fs policy explain`: which window holds and why, what comes next, and the bounds over time."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click
from click.core import ParameterSource

from ..errors import UserError
from .moment import parse_moment, zone_of
from .options import file_option, named_state_dir, state_option
from .output import Section, rendered
from .policy import POLICY_COMMANDS

if TYPE_CHECKING:
    from ..domain import AutoscalingPolicy
    from ..schedule import CutOver
    from .step_chart import Step

SHOWN, LONGEST = timedelta(days=7), timedelta(days=366)


@click.command("explain", short_help=POLICY_COMMANDS["explain"])
@click.option("--policy", "reference", metavar="REF", help="module:NAME, fs.yaml or fs.yaml:DEPLOYMENT, instead of -f.")
@file_option
@click.option("--deployment", metavar="NAME", help="Whose policy; may be left out where there is one.")
@click.option(
    "--at", metavar="T", help="A date or time as 2026-11-27T12:30, in the first window's zone. [default: now]"
)
@click.option("--from", "start", metavar="T", help="Explain the time from here on; instead of --at.")
@click.option("--to", "end", metavar="T", help="Where what is shown ends. [default: 7 days on]")
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Draw it into this file.")
@click.option(
    "--cold-start",
    "cold_start_s",
    type=click.FloatRange(min=0),
    metavar="S",
    help="What `lead_s: measured` means, in seconds. [default: as measured by the controller]",
)
@state_option
@rendered
def policy_explain(
    reference: str | None,
    file: Path,
    deployment: str | None,
    at: str | None,
    start: str | None,
    end: str | None,
    svg: Path | None,
    cold_start_s: float | None,
    state: Path | None,
) -> object:
    """Say which window of a policy holds, why, and when other numbers begin to hold. Starts and changes nothing."""
    from ..processes import SystemClock
    from ..schedule import cut_overs, policy_at
    from ..stack import read_policy
    from .step_chart import Step, draw_in_terminal, draw_svg

    context = click.get_current_context()
    if reference and (deployment or context.get_parameter_source("file") is ParameterSource.COMMANDLINE):
        raise UserError("--policy names one policy: leave out -f and --deployment")
    policy = read_policy(reference or (f"{file}:{deployment}" if deployment else str(file)), Path())
    zone = zone_of(policy)
    from_s, to_s = _range(policy, at, start, end, zone, SystemClock().now())
    if cold_start_s is None and _leads_by_measured(policy) and not reference:
        cold_start_s = _measured_s(file, state, deployment)

    ahead = cut_overs(policy, from_s, to_s, cold_start_s)
    bounds = [(from_s, policy_at(policy, from_s, cold_start_s)), *((one.at_s, one.after) for one in ahead)]
    steps = [Step(at_s, held.min_replicas, held.max_replicas) for at_s, held in bounds]
    if svg:
        name = reference or deployment or file
        svg.write_text(draw_svg(steps, to_s, zone, f"Floor and ceiling of {name}"), encoding="utf-8")
    as_json = context.params["output"] == "json"
    return [
        *_sections(policy, from_s, cold_start_s, zone, ahead),
        Section("floor and ceiling", _rows(steps, zone) if as_json else draw_in_terminal(steps, to_s, zone)),
    ]


def _sections(
    policy: "AutoscalingPolicy", at_s: float, cold_start_s: float | None, zone: ZoneInfo, ahead: "Sequence[CutOver]"
) -> "Iterator[Section]":
    from ..schedule import next_cut_over, situation_at

    situation, edge = situation_at(policy, at_s, cold_start_s), next_cut_over(policy, at_s, cold_start_s)
    lead = "none: no cold start is measured yet; --cold-start S sets one" if cold_start_s is None else cold_start_s
    yield Section(
        "situation",
        {
            **_when(at_s, zone),
            "floor": situation.policy.min_replicas,
            "ceiling": situation.policy.max_replicas,
            "why": situation.why,
            "next cut-over": _when(edge.at_s, zone)["at"] if edge else None,
            **({"measured lead_s": lead} if _leads_by_measured(policy) else {}),
        },
    )
    yield Section(
        "windows",
        [
            {
                "window": one.name,
                "state": "leads" if one.leads else "open",
                "since": _when(one.since_s, ZoneInfo(one.timezone))["at"],
                "until": _when(one.until_s, ZoneInfo(one.timezone))["at"],
                "note": one.note,
            }
            for one in situation.windows
        ],
    )
    yield Section("policy", _numbers(situation.policy))
    yield Section("cut-overs", [_cut_over_row(one) for one in ahead])


def _cut_over_row(one: "CutOver") -> dict[str, object]:
    before, after = _numbers(one.before), _numbers(one.after)
    changed = [key for key in after if before.get(key) != after[key]]
    changes = ", ".join(f"{key} {before.get(key, 'unset')} → {after[key]}" for key in changed)
    return {**_when(one.at_s, ZoneInfo(one.timezone)), "why": one.why, "changes": changes}


def _numbers(policy: "AutoscalingPolicy") -> dict[str, object]:
    return {key: value for key, value in asdict(policy).items() if value is not None and key != "schedule"}


def _rows(steps: "Sequence[Step]", zone: ZoneInfo) -> list[dict[str, object]]:
    return [{**_when(step.at_s, zone), "floor": step.floor, "ceiling": step.ceiling} for step in steps]


def _when(at_s: float, zone: ZoneInfo) -> dict[str, object]:
    there, utc = datetime.fromtimestamp(at_s, zone), datetime.fromtimestamp(at_s, UTC)
    return {"day": f"{there:%a}", "at": there.isoformat(timespec="seconds"), "utc": f"{utc:%Y-%m-%dT%H:%M:%S}Z"}


def _range(
    policy: "AutoscalingPolicy", at: str | None, start: str | None, end: str | None, zone: ZoneInfo, now_s: float
) -> tuple[float, float]:
    """Seconds from the epoch. Raises `UserError` for what is no time, no range, or outside what a calendar knows."""
    if at and start:
        raise UserError("--at and --from: give one of them")
    option, asked = ("--from", start) if start else ("--at", at)
    first = parse_moment(option, asked, zone) if asked else datetime.fromtimestamp(now_s, zone)
    _check_known(policy, option, first)
    last = parse_moment("--to", end, zone) if end else first + SHOWN
    if end:
        _check_known(policy, "--to", last)
    if not first < last <= first + LONGEST:
        raise UserError(f"--to: must be after {option} and within {LONGEST.days} days of it, found {end}")
    return first.timestamp(), last.timestamp()


def _check_known(policy: "AutoscalingPolicy", option: str, at: datetime) -> None:
    from ..domain import FieldError
    from ..schedule import check_known

    try:
        check_known(policy, at.date())
    except FieldError as error:
        raise UserError(f"{option}: {error.message}") from error


def _leads_by_measured(policy: "AutoscalingPolicy") -> bool:
    return any(window.lead_s == "measured" for window in policy.schedule)


def _measured_s(file: Path, state: Path | None, deployment: str | None) -> float | None:
    """The cold start that the controller measured; None where it has measured none."""
    from ..controller.scaling import cold_start_s
    from .stored import stored_state, was_served

    folder = named_state_dir(file, state)
    if not was_served(folder):
        return None
    durable = stored_state(folder).durable
    names = [deployment] if deployment else [one.name for one in (durable.stack.deployments if durable.stack else ())]
    return cold_start_s(durable, names[0]) if len(names) == 1 else None
