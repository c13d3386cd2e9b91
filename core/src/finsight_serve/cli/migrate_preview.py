"""What a migration would do, before anything is done."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .migrate_scaling import Scaling, least_s, scaling_of, scaling_warnings
from .migrate_view import span
from .output import Section

if TYPE_CHECKING:
    from ..controller.state import Durable
    from ..domain.migration import Migration, MigrationRules
    from ..host import Host
    from ..plugin import Feature, Grade

RATE_WINDOWS_S = (3600.0, 600.0)


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
    from ..controller.migration_plan import plan_migrations, tenants_at
    from ..domain.migration import default_steps
    from ..processes import SystemClock
    from .stored import stored_owner, stored_stack, stored_state

    stack, durable = stored_stack(folder), stored_state(folder).durable
    names = (*asked.tenants, *(tenants_at(durable, asked.source) if asked.source else ()))
    now_s = SystemClock().now()
    rates = rates_per_s(folder, now_s)
    lacks = host.load("load_balancer", stack.load_balancer.plugin).lacks
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
    """Requests by tenant: of the last hour, or of its last minutes where more came in those."""
    from ..store import Ledger

    rates: dict[str, float] = {}
    with closing(Ledger(folder, read_only=True)) as ledger:
        for window_s in RATE_WINDOWS_S:
            sums: dict[str, int] = {}
            for total in ledger.totals(since_s=now_s - window_s):
                sums[total.tenant] = sums.get(total.tenant, 0) + total.requests
            rates |= {name: max(rates.get(name, 0.0), count / window_s) for name, count in sums.items()}
    return rates


def plan_sections(planned: Planned, asked: Asked, folder: Path, host: "Host") -> list[Section]:
    scaling = [scaling_of(planned.durable, planned.migrations, name) for name in _destinations(planned)]
    fidelity = {name: _fidelity(planned, name, folder, host) for name in _destinations(planned)}
    warnings = [*_warnings(planned), *scaling_warnings(planned.durable, scaling, host)]
    sections = [
        Section("migrations", [_row(planned, asked, migration) for migration in planned.migrations]),
        Section("rules", _rules(asked.rules)),
        Section("destinations", [row.shown() for row in scaling]),
        Section("duration", {"at least": _least(planned, {row.deployment: row for row in scaling})}),
        Section(
            "fidelity",
            [
                {"deployment": name, "field": field, "verdict": grade.verdict, "note": grade.note}
                for name, grades in fidelity.items()
                for field, grade in grades.items()
                if grade.verdict != "exact"
            ],
        ),
    ]
    return [*sections, *([Section("warnings", "\n".join(warnings))] if warnings else [])]


def _destinations(planned: Planned) -> list[str]:
    return list(dict.fromkeys(migration.destination for migration in planned.migrations))


def _row(planned: Planned, asked: Asked, migration: "Migration") -> Mapping[str, object]:
    from ..controller.routing import describe_weights

    rate = planned.rates_per_s.get(migration.tenant, 0.0)
    return {
        "tenant": migration.tenant,
        "from": describe_weights(migration.source),
        "to": migration.destination,
        "steps_percent": ", ".join(map(str, migration.rules.steps)),
        "because": "asked for" if asked.steps else f"{rate * 60:.3g} requests a minute",
        "wave": migration.wave + 1,
    }


def _rules(rules: "MigrationRules") -> Mapping[str, str]:
    from ..domain.limit import format_limit

    shadow = f"copies of {rules.shadow_percent} % of the requests are compared before anything is moved"
    return {
        "step": f"holds {span(rules.hold_s)}, and until {rules.min_requests} requests were seen at the destination",
        "limits": ", ".join(map(format_limit, rules.limits)) or "none: the breaker alone rolls back",
        "shadow": shadow if rules.shadow_percent else "none",
        "gives_up": f"not ready after {span(rules.prepare_deadline_s)}: nothing is moved",
        "rolls_back": f"over a limit, its breaker open, or a step not proved after {span(rules.step_deadline_s)}",
        "drains": f"at most {span(rules.drain_deadline_s)} for streams that began at the source",
    }


def _fidelity(planned: Planned, name: str, folder: Path, host: "Host") -> "Mapping[str, Grade]":
    """By policy field, of the destination as it will be told. Raises `UserError` where it can't be told at all."""
    from ..controller.assembly import BACKENDS
    from ..controller.fidelity import all_grades
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
    return all_grades(deployment.policy, found, exported=False)


def _least(planned: Planned, scaling: Mapping[str, Scaling]) -> str:
    """How long it takes if all goes well: waves one after the other, each as long as its slowest tenant."""
    waves: dict[int, float] = {}
    for one in planned.migrations:
        rate = planned.rates_per_s.get(one.tenant, 0.0)
        duration_s = least_s(one.rules, rate, scaling[one.destination])
        if duration_s is None:
            return f"unknown: tenant {one.tenant} asked nothing in the last hour, and a step waits for its requests"
        waves[one.wave] = max(waves.get(one.wave, 0.0), duration_s)
    starting = any(row.replicas_then > row.replicas_now and row.cold_start_s is None for row in scaling.values())
    return span(sum(waves.values())) + (", and what it takes to start replicas" if starting else "")


def _warnings(planned: Planned) -> Iterator[str]:
    from ..plugin import Feature

    silent = [one.tenant for one in planned.migrations if not planned.rates_per_s.get(one.tenant)]
    if silent:
        rules = planned.migrations[0].rules
        yield (
            f"{names(silent)}: no request in the last hour; a step that sees fewer than {rules.min_requests} within "
            f"{span(rules.step_deadline_s)} rolls back"
        )
    told = {
        Feature.LEDGER: "what became of the requests can't be proved",
        Feature.OPEN_STREAMS: "streams still open at the source can't be counted",
        Feature.STICKY: "a session may change between source and destination while steps last",
    }
    for feature, what in told.items():
        if feature in planned.balancer_lacks:
            yield f"{what}: the load balancer lacks it ({planned.balancer_lacks[feature]})"


def names(tenants: Sequence[str]) -> str:
    shown = ", ".join(tenants[:5]) + (f" and {len(tenants) - 5} more" if len(tenants) > 5 else "")
    return f"{'tenant' if len(tenants) == 1 else 'tenants'} {shown}"
