"""From what a person asks for to the migrations to begin, with every reason why one can't be. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from ..domain import FieldError
from ..domain.migration import OVER, Migration, MigrationRules, check_rules
from ..errors import UserError, did_you_mean
from ..plugin import Feature
from ..stack.values import Deployment, Stack
from .migrating import migrations_by_tenant
from .routing import assignments
from .state import Durable
from .tenancy import tenants

MOST_LINES, MOST_NAMES = 10, 8
"""Of a long list, so much is told."""
OPTIONS = {"limits": "limit", "shadow_percent": "shadow"}
"""Of `MigrationRules`' fields those whose option is named otherwise."""


def plan_migrations(
    durable: Durable,
    names: Sequence[str],
    to: str,
    rules: Mapping[str, MigrationRules],
    *,
    wave_size: int | None = None,
    balancer_lacks: Mapping[Feature, str] | None = None,
    backends: Collection[str] = (),
    now_s: float,
    by: str,
) -> tuple[Migration, ...]:
    """A migration for each tenant in `names`, in this order. Raises `UserError` with a line for whatever is wrong.

    `to`: a deployment, or a backend on which one deployment serves the tenant's model. `rules`: by tenant.
    `wave_size`: tenants that are moved at a time; None: all. `backends`: names known beside the stack's own.
    """
    if durable.stack is None:
        raise UserError("nothing was served yet; start with `fs serve`")
    _refuse(_check_names(durable, names))
    _refuse(_check_rules(rules.values(), balancer_lacks or {}))
    weights = assignments(durable, set(names))
    found = [_destination(durable, durable.stack, weights[name], to, backends) for name in names]
    _refuse(problem for _, problem in found)
    first = _next_number(durable)
    migrations = tuple(
        Migration(
            f"M{first + index}",
            name,
            weights[name],
            destination,
            rules[name],
            batch=f"M{first}",
            wave=index // wave_size if wave_size else 0,
            asked_by=by,
            asked_s=now_s,
            since_s=now_s,
        )
        for index, (name, (destination, _)) in enumerate(zip(names, found, strict=True))
    )
    _refuse(_unfit(durable, weights[migration.tenant], migration) for migration in migrations)
    return migrations


def tenants_at(durable: Durable, deployment: str) -> tuple[str, ...]:
    """Those with a share of their requests there. Raises `UserError` where there is none, or no such deployment."""
    known = [one.name for one in durable.stack.deployments] if durable.stack else []
    if deployment not in known:
        raise UserError(unknown("deployment", deployment, known))
    weights = assignments(durable, {tenant.name for tenant in tenants(durable)})
    found = tuple(name for name, shares in weights.items() if shares.get(deployment))
    if not found:
        raise UserError(f"deployment {deployment}: no tenant is there")
    return found


def refusal(durable: Durable, migrations: Sequence[Migration]) -> str:
    """Why they can't begin as things are now; "" if they can. What a plan has found right may have changed since."""
    if durable.stack is None:
        return "nothing was served yet; start with `fs serve`"
    weights = assignments(durable, {tenant.name for tenant in tenants(durable)})
    deployments = [one.name for one in durable.stack.deployments]
    ids = set(durable.migrations)
    running = {tenant: one.id for tenant, one in migrations_by_tenant(durable).items()}
    for one in migrations:
        if one.id in ids:
            return f"migration {one.id}: another was asked for at the same moment and has this number; ask again"
        if one.tenant not in weights:
            return unknown("tenant", one.tenant, weights)
        if one.destination not in deployments:
            return unknown("deployment", one.destination, deployments)
        if one.tenant in running:
            return _is_running(one.tenant, running[one.tenant])
        if why := _unfit(durable, weights[one.tenant], one):
            return why
        ids.add(one.id)
        running[one.tenant] = one.id
    return next(_check_rules([one.rules for one in migrations], {}), "")


def find_migration(durable: Durable, name: str) -> Migration:
    """By id; by tenant: the one that runs, else the last. Raises `UserError`. No tenant's name has a capital letter."""
    if name in durable.migrations:
        return durable.migrations[name]
    own = [migration for migration in durable.migrations.values() if migration.tenant == name]
    if own:
        return max(own, key=lambda one: (one.phase not in OVER, one.asked_s, _number(one.id)))
    if any(tenant.name == name for tenant in tenants(durable)):
        raise UserError(f"tenant {name}: was never migrated")
    names = sorted({*durable.migrations, *(one.tenant for one in durable.migrations.values())})
    written = name.upper() if name.upper() in durable.migrations else name
    hint = did_you_mean(written, names) or "; `fs migrate list` shows them"
    raise UserError(f"no migration has the id {name}, and no tenant is named so{hint}")


def in_order(migrations: Iterable[Migration]) -> list[Migration]:
    """As they were asked for."""
    return sorted(migrations, key=lambda one: (one.asked_s, _number(one.id)))


def _check_names(durable: Durable, names: Sequence[str]) -> Iterator[str]:
    if not names:
        yield "name a tenant, or take all of a deployment by --from DEPLOYMENT"
    known = {tenant.name for tenant in tenants(durable)}
    running = migrations_by_tenant(durable)
    for name, times in Counter(names).items():
        if name not in known:
            yield unknown("tenant", name, known)
        elif times > 1:
            yield f"tenant {name}: named {times} times; once is enough"
        elif name in running:
            yield _is_running(name, running[name].id)


def _check_rules(all_rules: Iterable[MigrationRules], balancer_lacks: Mapping[Feature, str]) -> Iterator[str]:
    for rules in set(all_rules):
        try:
            check_rules(rules)
        except FieldError as error:
            option = OPTIONS.get(error.field) or error.field.removesuffix("_s").replace("_", "-")
            yield f"--{option}: {error.message}"
        if rules.shadow_percent and Feature.SHADOW in balancer_lacks:
            yield f"--shadow: the load balancer can't copy requests: {balancer_lacks[Feature.SHADOW]}; leave it out"


def _destination(
    durable: Durable, stack: Stack, weights: Mapping[str, int], to: str, backends: Collection[str]
) -> tuple[str, str]:
    """The deployment that `to` means, and what is wrong with it: one of them is ""."""
    if any(one.name == to for one in stack.deployments):
        return to, ""
    if to not in {*stack.backends, *backends}:
        names = [one.name for one in stack.deployments]
        there = f"deployments {_some(names)}; backends {_some(stack.backends)}"
        hint = did_you_mean(to, [*names, *stack.backends])
        return "", f"--to {to}: no deployment or backend; {there}{hint}"
    source = [one for one in stack.deployments if weights.get(one.name)]
    models = {durable.served_models.get(one.name, "") for one in source}
    fit = [
        one.name
        for one in stack.deployments
        if one.backend == to and models <= {durable.served_models.get(one.name, "")}
    ]
    if len(fit) == 1:
        return fit[0], ""
    if fit:
        return "", f"--to {to}: several deployments on it serve {_and(models)}; name one: {', '.join(fit)}"
    return "", f"--to {to}: no deployment on backend {to} serves {_and(models)}{_entry(source, to)}"


def _entry(source: Sequence[Deployment], backend: str) -> str:
    """What to write to have one."""
    if not source:
        return ""
    one = source[0]
    entry = f"{{name: {one.name}-{backend}, model: {one.model}, engine: {one.engine.plugin}, backend: {backend}}}"
    return f"; add one to fs.yaml: `- {entry}` and run `fs serve`"


def _unfit(durable: Durable, weights: Mapping[str, int], migration: Migration) -> str:
    """Why the destination won't do for this tenant; ""."""
    name, to = migration.tenant, migration.destination
    if not weights:
        return f"tenant {name}: it is at no deployment of this stack, so there is nothing to move"
    if all(deployment == to for deployment, percent in weights.items() if percent):
        return f"tenant {name}: all its requests go to {to} already"
    asked_for = {durable.served_models.get(deployment) for deployment, percent in weights.items() if percent}
    served = durable.served_models.get(to)
    if asked_for != {served}:
        model = _and(f"{one}" for one in asked_for)
        return (
            f"tenant {name}: its clients ask for {model}, and {to} serves {served}: they would get 404; "
            f"choose a deployment whose `model` is served as {model}"
        )
    return ""


def _is_running(tenant: str, id: str) -> str:
    return f"tenant {tenant}: is being migrated already, by {id}; see `fs migrate status {id}`"


def unknown(what: str, name: str, known: Collection[str]) -> str:
    return f"{what} {name}: not in this stack; it has {_some(known)}{did_you_mean(name, known)}"


def _some(names: Collection[str]) -> str:
    shown = sorted(names)[:MOST_NAMES]
    more = len(names) - len(shown)
    return (", ".join(shown) or "none") + (f" and {more} more" if more else "")


def _and(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))


def _refuse(problems: Iterable[str]) -> None:
    lines = list(dict.fromkeys(line for line in problems if line))
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], f"and {len(lines) - MOST_LINES} more like these"]
    if lines:
        raise UserError("\n".join(lines))


def _next_number(durable: Durable) -> int:
    return 1 + max(map(_number, durable.migrations), default=0)


def _number(id: str) -> int:
    digits = id.removeprefix("M")
    return int(digits) if digits.isdigit() else 0
