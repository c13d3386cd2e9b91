"""What `fs serve` does before the controller runs: check the machine, prepare the models, issue first keys."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ..controller.assembly import Progress, build_engine, build_parts, choose_stack
from ..controller.facts import FirstKeysIssued, StackChosen
from ..controller.memory import recall
from ..controller.metrics.listener import listen_problems
from ..controller.reduce import reduce
from ..controller.session import Held, record
from ..controller.state import State
from ..controller.want import want
from ..env import Clock
from ..errors import UserError
from ..host import Host, env_for
from ..plugin import ApplyError, Engine, Feature, Problem
from ..stack import Stack, StackErrors, check_stack
from .intents import who
from .options import say_nothing
from .tenant_intents import new_key


def check_models(file: Path, stack: Stack, host: Host, folder: Path) -> None:
    """Raises `StackErrors` with a line for every model or engine option that will not do."""
    problems = check_stack(
        file, stack, host, lambda d: env_for(folder / "engines" / d.name, owner="", progress=say_nothing)
    )
    if problems:
        raise StackErrors(problems)


def check_machine(file: Path, stack: Stack, host: Host, folder: Path, say: Progress) -> None:
    """Says all warnings. Raises `UserError` with a line for everything that would keep this stack from running here."""
    refuse(apply_problems(stack, host))
    check_models(file, stack, host, folder)
    problems = (
        *compile_problems(stack, host, folder),
        *machine_problems(stack, host, folder),
        *listen_problems(stack.metrics.listen),
    )
    for problem in problems:
        if problem.is_warning:
            say(f"warning: {problem.message}; {problem.fix}")
    refuse(problem for problem in problems if not problem.is_warning)


def apply_problems(stack: Stack, host: Host) -> tuple[Problem, ...]:
    """The backends that only render what people apply themselves."""
    reasons = {
        name: host.load("orchestrator", ref.plugin).lacks.get(Feature.APPLY) for name, ref in stack.backends.items()
    }
    return tuple(
        Problem(
            f"backend {name} can't be served on: {reason}",
            f"`fs policy compile --backend {name} -o yaml` prints them; serve on another backend",
        )
        for name, reason in reasons.items()
        if reason is not None
    )


def machine_problems(stack: Stack, host: Host, folder: Path) -> tuple[Problem, ...]:
    """What the plugins miss on this machine; of engines, those that run here."""
    parts = build_parts(stack, {}, host, folder, "", say_nothing)
    here = [one for one in stack.deployments if parts.orchestrators[one.backend].on_this_machine]
    engines = [build_engine(deployment, host, folder, say_nothing) for deployment in here]
    plugins = (*parts.orchestrators.values(), parts.load_balancer, parts.probe, *engines)
    found = dict.fromkeys(problem for plugin in plugins for problem in plugin.check())
    return (*apply_problems(stack, host), *found)


def compile_problems(stack: Stack, host: Host, folder: Path) -> tuple[Problem, ...]:
    """What of the stack a backend can't be told at all."""
    parts = build_parts(stack, {}, host, folder, "", say_nothing)
    engines = {deployment.name: build_engine(deployment, host, folder, say_nothing) for deployment in stack.deployments}
    wants = want(reduce(State(), choose_stack(stack, engines), 0.0).state)
    found = []
    for backend, specs in wants.backends.items():
        try:
            parts.orchestrators[backend].compile(specs)
        except (ApplyError, ValueError) as error:
            found.append(Problem(f"backend {backend}: {error}", "change that in the file"))
    return tuple(found)


def refuse(problems: Iterable[Problem]) -> None:
    lines = [f"{problem.message}; {problem.fix}" for problem in problems]
    if lines:
        raise UserError("\n".join(lines))


def prepare_models(stack: Stack, host: Host, folder: Path, say: Progress) -> StackChosen:
    engines: Mapping[str, Engine] = {d.name: build_engine(d, host, folder, say) for d in stack.deployments}
    for deployment in stack.deployments:
        engines[deployment.name].prepare(deployment.model)
    return replace(choose_stack(stack, engines), by=who())


def issue_missing_keys(held: Held, stack: Stack, clock: Clock) -> Mapping[str, str]:
    """New keys by tenant, for those that never had one; whose keys were revoked gets one by `fs tenant rotate`."""
    known = recall(held.store).durable.tenant_key_sha256
    issued = {tenant.name: new_key() for tenant in stack.tenants if tenant.name not in known}
    if issued:
        record(held, FirstKeysIssued({name: digest for name, (_, digest) in issued.items()}, who()), clock)
    return {name: key for name, (key, _) in issued.items()}
