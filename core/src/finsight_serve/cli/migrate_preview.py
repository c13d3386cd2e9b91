"""What a migration would do, before anything is done."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.wording import counted, span
from .fidelity_view import shown_fidelity
from .migrate_scaling import Scaling, least_s, scaling_of, scaling_warnings
from .migrate_view import opened_ledger
from .output import Section, Shown

if TYPE_CHECKING:
    from ..controller.planning import Fidelity
    from ..controller.state import Durable
    from ..domain.migration import Migration, MigrationRules
    from ..host import Host
    from ..plugin import Feature

RATE_WINDOWS_S = (3600.0, 600.0, 60.0)
"""The largest rate counts: a young stack's hour is mostly time in which it did not run."""


@dataclass(frozen=True)
class Asked:
    """What was written on the command line."""

    tenants: tuple[str, ...]
    source: str | None  # every tenant of this deployment, in their place
    to: str
    rules: "MigrationRules"
    steps: tuple[int, ...] | None  # None: they follow each tenant's rate
    wave_size: int | None
    by: str


@dataclass(frozen=True)
class Planned:
    durable: "Durable"
    owner: str
    migrations: "tuple[Migration, ...]"
    rates_per_s: Mapping[str, float]  # by tenant; none where nothing was asked in the last hour
    balancer_lacks: "Mapping[Feature, str]"


def make_plan(asked: Asked, folder: Path, host: "Host") -> Planned:
    """From what is stored; changes nothing. Raises `UserError`."""
    from ..controller.assembly import balancer_lacks
    from ..controller.migration_plan import plan_migrations, tenants_at
    from ..domain.migration import default_steps
    from ..processes import SystemClock
    from .stored import stored_owner, stored_stack, stored_state

    stack, durable = stored_stack(folder), stored_state(folder).durable
    there = tenants_at(durable, asked.source) if asked.source else ()
    names = (*asked.tenants, *(name for name in there if name not in asked.tenants))
    now_s = SystemClock().now()
    rates = rates_per_s(folder, now_s)
    lacks = balancer_lacks(stack, host)
    rules = {
        name: replace(asked.rules, steps=asked.steps or default_steps(rates.get(name, 0.0), asked.rules.min_requests))
        for name in names
    }
    migrations = plan_migrations(
        durable,
        names,
        asked.to,
        rules,
        wave_size=asked.wave_size,
        balancer_lacks=lacks,
        backends=host.names("orchestrator"),
        now_s=now_s,
        by=asked.by,
    )
    return Planned(durable, stored_owner(folder), migrations, rates, lacks)


def rates_per_s(folder: Path, now_s: float) -> Mapping[str, float]:
    """Requests by tenant: of the last hour, or of its last minutes or minute where more came in those."""
    rates: dict[str, float] = {}
    with opened_ledger(folder) as ledger:
        for window_s in RATE_WINDOWS_S:
            sums: dict[str, int] = {}
            for total in ledger.totals(since_s=now_s - window_s):
                sums[total.tenant] = sums.get(total.tenant, 0) + total.requests
            rates |= {name: max(rates.get(name, 0.0), count / window_s) for name, count in sums.items()}
    return rates


def plan_sections(planned: Planned, asked: Asked, folder: Path, host: "Host") -> list[Section]:
    scaling = [scaling_of(planned.durable, planned.migrations, name) for name in _destinations(planned)]
    fidelity = [grade for name in _destinations(planned) for grade in _fidelity(planned, name, folder, host)]
    warnings = [*_warnings(planned), *scaling_warnings(planned.durable, scaling, host)]
    rows = [_row(planned, migration) for migration in planned.migrations]
    return [
        Section("migrations", Shown(rows, [_in_words(row, asked) for row in rows])),
        Section("rules", _rules(asked.rules)),
        Section("destinations", Shown([row.values() for row in scaling], [row.in_words() for row in scaling])),
        Section("duration", _duration(planned, {row.deployment: row for row in scaling})),
        Section("fidelity", shown_fidelity(grade for grade in fidelity if grade.verdict != "exact")),
        Section("warnings", Shown(warnings, "\n".join(warnings))),
    ]


def _destinations(planned: Planned) -> list[str]:
    return list(dict.fromkeys(migration.destination for migration in planned.migrations))


def _row(planned: Planned, migration: "Migration") -> dict[str, Any]:
    return {
        "tenant": migration.tenant,
        "from": dict(migration.source),
        "to": migration.destination,
        "steps_percent": list(migration.rules.steps),
        "requests_per_minute": planned.rates_per_s.get(migration.tenant, 0.0) * 60,
        "wave": migration.wave + 1,
    }


def _in_words(row: Mapping[str, Any], asked: Asked) -> Mapping[str, object]:
    from ..controller.routing import describe_weights

    rate = row["requests_per_minute"]
    return {
        "tenant": row["tenant"],
        "from": describe_weights(row["from"]),
        "to": row["to"],
        "steps_percent": ", ".join(map(str, row["steps_percent"])),
        "because": "asked for" if asked.steps else f"{counted(rate, 'request')} a minute",
        "wave": row["wave"],
    }


def _rules(rules: "MigrationRules") -> Shown:
    from ..domain.limit import format_limit
    from ..domain.migration import shadow_limits

    limits = list(map(format_limit, rules.limits))
    of_shadow = list(map(format_limit, shadow_limits(rules.limits))) if rules.shadow_percent else []
    values = {**asdict(rules), "limits": limits, "shadow_limits": of_shadow}
    del values["steps"]  # of each tenant its own
    seen = f", and until {counted(rules.min_requests, 'request')} came to the destination"
    shadow = f"copies of {rules.shadow_percent} % of the requests are compared before anything is moved"
    return Shown(
        values,
        {
            "step": f"holds {span(rules.hold_s)}{seen if rules.min_requests else ''}",
            "limits": ", ".join(limits) or "none: the breaker alone rolls back",
            "shadow": shadow if rules.shadow_percent else "none",
            **({"shadow_limits": ", ".join(of_shadow)} if of_shadow else {}),
            "gives_up": f"not ready after {span(rules.prepare_deadline_s)}: nothing is moved",
            "rolls_back": f"over a limit, its breaker open, or a step not proved after {span(rules.step_deadline_s)}",
            "drains": f"at most {span(rules.drain_deadline_s)} for streams that began at the source",
        },
    )


def _fidelity(planned: Planned, name: str, folder: Path, host: "Host") -> "Iterator[Fidelity]":
    """By policy field, of the destination as it will be told. Raises `UserError` where it can't be told at all."""
    from ..controller.assembly import BACKENDS
    from ..controller.fidelity import all_grades
    from ..controller.planning import Fidelity
    from ..controller.want import deployment_specs
    from ..host import env_for
    from .options import say_nothing

    durable = planned.durable
    assert durable.stack is not None
    deployment = next(one for one in durable.stack.deployments if one.name == name)
    ref = durable.stack.backends[deployment.backend]
    env = env_for(folder / BACKENDS / deployment.backend, owner=planned.owner, progress=say_nothing)
    plan = host.build("orchestrator", ref.plugin, ref.options, env).compile(
        deployment_specs(durable, durable.stack, deployment.backend)
    )
    found = {field: grade for (of, field), grade in plan.fidelity.items() if of == name}
    for field, grade in all_grades(deployment.policy, found, exported=False).items():
        yield Fidelity(deployment.backend, name, field, grade.verdict, grade.note)


def _duration(planned: Planned, scaling: Mapping[str, Scaling]) -> Shown:
    """How long it takes if all goes well: waves one after the other, each as long as its slowest tenant."""
    waves: dict[int, float] = {}
    for one in planned.migrations:
        rate = planned.rates_per_s.get(one.tenant, 0.0)
        duration_s = least_s(one.rules, rate, scaling[one.destination])
        if duration_s is None:
            why = f"unknown: tenant {one.tenant} asked nothing in the last hour, and a step waits for its requests"
            return Shown({"at_least_s": None, "starts_replicas": _starts(scaling)}, {"at least": why})
        waves[one.wave] = max(waves.get(one.wave, 0.0), duration_s)
    total_s = sum(waves.values())
    more = ", and what it takes to start replicas" if _starts(scaling) else ""
    return Shown({"at_least_s": total_s, "starts_replicas": _starts(scaling)}, {"at least": span(total_s) + more})


def _starts(scaling: Mapping[str, Scaling]) -> bool:
    """Whether replicas are to start, of which nobody knows how long it takes."""
    return any(row.replicas_then > row.replicas_now and row.cold_start_s is None for row in scaling.values())


def _warnings(planned: Planned) -> Iterator[str]:
    from ..plugin import Feature

    for name in _destinations(planned):
        breaker = planned.durable.breakers.get(name)
        if breaker is not None and breaker.state != "closed":
            state = breaker.state.replace("_", "-")
            yield f"{name}: its breaker is {state} ({breaker.reason}); it waits until that is closed"
    silent = [one.tenant for one in planned.migrations if not planned.rates_per_s.get(one.tenant)]
    if silent:
        yield f"{names(silent)}: no request in the last hour; {_unproved(planned.migrations[0].rules)}"
    told = {
        Feature.LEDGER: "what became of the requests can't be proved",
        Feature.OPEN_STREAMS: "streams still open at the source can't be counted",
        Feature.STICKY: "a session may change between source and destination while steps last",
    }
    for feature, what in told.items():
        if feature in planned.balancer_lacks:
            yield f"{what}: the load balancer lacks it ({planned.balancer_lacks[feature]})"


def _unproved(rules: "MigrationRules") -> str:
    if not rules.min_requests:
        return "what is shown is only that the destination answers its probes"
    return (
        f"a step that sees fewer than {rules.min_requests} within {span(rules.step_deadline_s)} rolls back; "
        "--min-requests 0 moves what asks nothing"
    )


def names(tenants: Sequence[str]) -> str:
    shown = ", ".join(tenants[:5]) + (f" and {len(tenants) - 5} more" if len(tenants) > 5 else "")
    return f"{'tenant' if len(tenants) == 1 else 'tenants'} {shown}"
