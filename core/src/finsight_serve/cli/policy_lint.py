"""`fs policy lint`: which numbers of a policy look wrong together, with what they do when they are run."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .lab_options import ServiceChoice, TraceChoice, choose_loops, policy_option, service_options, trace_options
from .output import render, rendered
from .policy import POLICY_COMMANDS

if TYPE_CHECKING:
    from ..host import Host
    from ..lab.lint import Backend
    from ..plugin import Ceiling


@click.command("lint", short_help=POLICY_COMMANDS["lint"])
@policy_option
@trace_options(required=False)
@service_options
@click.option("--backend", "backends", multiple=True, metavar="NAME", help="Only this one; may be given again.")
@click.option(
    "--per-day",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Requests a day in all, for the capacity sum where there is no trace.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 where there is an error or a warning.")
@rendered
def policy_lint(
    reference: str,
    trace: TraceChoice | None,
    service: ServiceChoice,
    backends: tuple[str, ...],
    per_day: float | None,
    strict: bool,
) -> object:
    """Check a policy's numbers against each other, a replica and a load. Starts and changes nothing.

    The evidence comes from running the policy through each backend's control loop: on the trace, or on a burst made
    for the policy.
    """
    from ..host import Host
    from ..lab.lint import lint
    from ..stack import read_policy

    policy = read_policy(reference, Path())
    model, measured = service.read()
    host = Host()
    loops = choose_loops(host, backends)
    found = lint(
        policy,
        backends=describe_backends(host, backends),
        loops=loops,
        service=model,
        measured=measured,
        cold_start_s=service.cold_start_s(measured),
        trace=trace.read() if trace else None,
        per_day=per_day,
    )
    context = click.get_current_context()
    shown = found or ("nothing looks wrong" if context.params["output"] == "table" else [])
    if strict and any(one.severity != "info" for one in found):
        click.echo(render(shown, context.params["output"]))
        context.exit(1)
    return shown


def describe_backends(host: "Host", chosen: tuple[str, ...]) -> "Mapping[str, Backend]":
    """What the chosen orchestrators (all, unless given) say of their ceilings, and which others go further."""
    from ..host import PluginError
    from ..lab.lint import Backend
    from ..plugin import Feature

    limits: dict[str, float] = {}
    ceilings: dict[str, Ceiling | None] = {}
    for name in host.names("orchestrator"):
        try:
            plugin = host.load("orchestrator", name)
        except PluginError:
            continue  # it can't be moved to either
        ceilings[name] = getattr(plugin, "ceiling", None)
        if Feature.SCALING not in plugin.lacks:
            limits[name] = ceiling.replicas if (ceiling := ceilings[name]) else float("inf")
    return {
        name: Backend(name, ceilings[name], tuple(one for one in limits if limits[one] > limits.get(name, 0)))
        for name in (chosen or ceilings)
    }
