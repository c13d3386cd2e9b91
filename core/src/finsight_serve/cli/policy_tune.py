"""`fs policy tune`: a search for better numbers on recorded load."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError
from .lab_options import (
    Numbers,
    ServiceChoice,
    TraceChoice,
    choose_loops,
    policy_option,
    service_options,
    trace_options,
)
from .options import check_writable
from .output import Section, rendered
from .policy import POLICY_COMMANDS

if TYPE_CHECKING:
    from ..lab.tune import Candidate, Tuned


@click.command("tune", short_help=POLICY_COMMANDS["tune"])
@policy_option
@trace_options(required=True)
@service_options
@click.option("--train", type=Numbers(), metavar="DAYS", help="Days of the trace to search on. [default: every other]")
@click.option("--validate", type=Numbers(), metavar="DAYS", help="Days to judge on. [default: the rest]")
@click.option(
    "--draws",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Of ServeGen's client rates: draw every day so often, so that no one burst decides.",
)
@click.option(
    "--objective",
    default="min replica_hours s.t. p99_wait_s<=1",
    show_default=True,
    help="What to make small, and what must hold.",
)
@click.option("--backend", "backends", multiple=True, metavar="NAME", help="Only for this one; may be given again.")
@click.option(
    "--keep",
    multiple=True,
    metavar="FIELD",
    help="Leave this number as it is, as 'schedule.*.min_replicas'; may be given again.",
)
@click.option("--trials", default=200, show_default=True, type=click.IntRange(1), help="Policies to try.")
@click.option("--seed", default=0, show_default=True, help="Of the search: the same seed, the same answer.")
@click.option(
    "--diff", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the change there as a patch."
)
@rendered
def policy_tune(
    reference: str,
    trace: TraceChoice,
    service: ServiceChoice,
    train: tuple[int, ...] | None,
    validate: tuple[int, ...] | None,
    draws: int,
    objective: str,
    backends: tuple[str, ...],
    keep: tuple[str, ...],
    trials: int,
    seed: int,
    diff: Path | None,
) -> object:
    """Search the numbers that depend on each other: target, delays, factors, look-back, windows' floors and leads.

    The bounds stay. The search sees the training days only; what it finds is judged on the others, and both are shown.
    The policy is changed nowhere: apply the diff yourself.
    """
    from dataclasses import replace

    from ..host import Host
    from ..lab.days import METRICS, evaluator, split_days
    from ..lab.limits import parse_objective
    from ..lab.tune import tune
    from ..stack import read_policy

    goal = parse_objective(objective, METRICS)
    if diff is not None:
        check_writable(diff)
    policy = read_policy(reference, Path())
    model, _ = service.read()
    loops = choose_loops(Host(), backends)
    among = tuple(sorted({*train, *validate})) if train and validate else None
    loads = [replace(trace, seed=trace.seed + more).read(among) for more in range(draws)]
    days = split_days(loads[0], train, validate)
    found = tune(
        policy,
        goal,
        train=evaluator([one.select(days.train) for one in loads], loops, model),
        validate=evaluator([one.select(days.validate) for one in loads], loops, model),
        max_concurrency=model.max_concurrency,
        against="p99_wait_s" if goal.metric != "p99_wait_s" else "replica_hours",
        trials=trials,
        seed=seed,
        report=lambda line: click.echo(line, err=True),
        keep=keep,
    )
    change = describe_change(reference, found)
    if diff is not None:
        diff.write_text(change + "\n" if change else "", encoding="utf-8")
        click.echo(f"written to {diff}: patch -p1 < {diff}", err=True)
    return [
        Section(f"pareto front over {', '.join(loops)}: {goal}", [front_row(one, found) for one in found.front]),
        Section("the policy as it is, and the chosen one", compare(found)),
        Section("changes", [{"field": n, "from": a, "to": b} for n, (a, b) in found.chosen.changes.items()]),
        Section("diff", change or "no better policy was found: nothing to change"),
    ]


def front_row(candidate: "Candidate", found: "Tuned") -> Mapping[str, Any]:
    chosen = "chosen" if candidate is found.chosen else "as it is" if candidate.policy == found.start.policy else ""
    scores = {"": candidate.training, " on other days": candidate.validation}
    return {
        "": chosen,
        **{axis + where: round(score[axis], 3) for where, score in scores.items() for axis in found.axes},
    }


def compare(found: "Tuned") -> list[Mapping[str, Any]]:
    columns = {
        "as it is, training": found.start.training,
        "chosen, training": found.chosen.training,
        "as it is, validation": found.start.validation,
        "chosen, validation": found.chosen.validation,
    }
    return [
        {"metric": metric, **{title: round(score[metric], 3) for title, score in columns.items()}}
        for metric in found.chosen.training
    ]


def describe_change(reference: str, found: "Tuned") -> str:
    """A patch of the file where it holds the numbers itself; else of the fields as YAML."""
    from ..lab.wording import diff, diff_file

    name, _, deployment = reference.partition(":")
    changes = {field: after for field, (_, after) in found.chosen.changes.items()}
    if name.endswith((".yaml", ".yml")):
        try:
            patch = diff_file(Path(name), deployment, changes)
        except OSError as error:
            raise UserError(f"{name}: {error.strerror}") from None
        if patch is not None:
            return patch
    return diff(found.start.policy, found.chosen.policy, reference)
