"""A policy in, what one backend is told of it out. Starts and changes nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..controller.assembly import build_engine
from ..controller.fidelity import all_grades
from ..domain import AutoscalingPolicy
from ..env import Env
from ..errors import UserError
from ..host import Host, env_for
from ..plugin import Artefact, DeploymentSpec, Grade, Launch, Orchestrator
from ..schedule import policy_at
from ..stack import load_stack, read_policy
from .options import say_nothing


@dataclass(frozen=True)
class Source:
    """A deployment's policy, with its schedule, and the backend and engine that it is compiled for."""

    deployment: str
    policy: AutoscalingPolicy
    backend: str
    plugin: str
    options: Mapping[str, Any]
    launch: Launch


@dataclass(frozen=True)
class Place:
    """Where the number of a field went: a path inside an artefact."""

    field: str
    artefact: str
    path: str
    value: object


@dataclass(frozen=True)
class Compiled:
    policy: AutoscalingPolicy  # as the backend was given it
    artefacts: tuple[Artefact, ...]  # those that the policy shapes, and that everybody may see
    grades: Mapping[str, Grade]
    places: tuple[Place, ...]


class _StoppedClock:
    """The time for which a policy is compiled."""

    def __init__(self, now_s: float) -> None:
        self._now_s = now_s

    def now(self) -> float:
        return self._now_s

    async def sleep(self, delay_s: float) -> None:
        raise RuntimeError("nothing sleeps where nothing runs")


def from_file(
    file: Path, deployment: str | None, backend: str | None, overrides: Mapping[str, Any], host: Host
) -> Source:
    """Raises `UserError`."""
    stack = load_stack(file, host, backend=backend, overrides=overrides)
    names = [one.name for one in stack.deployments]
    if deployment is None and len(names) > 1:
        raise UserError(f"{file}: say whose policy with --deployment: {', '.join(names)}")
    if deployment is not None and deployment not in names:
        raise UserError(f"{file}: no deployment is named {deployment}; there are {', '.join(names)}")
    index = names.index(deployment) if deployment else 0
    if backend and stack.deployments[index].backend != backend:
        stack = load_stack(file, host, overrides={**overrides, f"deployments.{index}.backend": backend})
    found = stack.deployments[index]
    ref = stack.backends[found.backend]
    with TemporaryDirectory() as scratch:
        launch = build_engine(found, host, Path(scratch), say_nothing).launch(found.model)
    return Source(found.name, found.policy, found.backend, ref.plugin, ref.options, launch)


def from_reference(
    reference: str,
    name: str,
    backend: str | None,
    engine: str | None,
    overrides: Mapping[str, Any],
    host: Host,
) -> Source:
    """A policy by itself: with a backend's plugin and an engine as they are by default. Raises `UserError`."""
    installed = host.names("orchestrator")
    if backend is None:
        raise UserError(f"say for which backend with --backend: {', '.join(installed) or 'none is installed'}")
    host.find("orchestrator", backend)
    prefix = f"backends.{backend}."
    if foreign := [key for key in overrides if not key.startswith(prefix)]:
        raise UserError(f"{foreign[0]}: the policy is compiled for {backend} only")
    options = {key.removeprefix(prefix): value for key, value in overrides.items()}
    return Source(name, read_policy(reference, Path()), backend, backend, options, _launch(engine, host))


def compile_at(source: Source, at_s: float, *, exported: bool, host: Host) -> Compiled:
    """`exported`: the schedule stays in, as no controller follows it. Raises `UserError`."""
    told = replace(source.policy, slo=None) if exported else policy_at(source.policy, at_s)
    spec = DeploymentSpec(source.deployment, _any_model(source.launch), told)
    with _orchestrator(source, at_s, host) as orchestrator:
        plan = orchestrator.compile((spec,))
        found = {field: grade for (_, field), grade in plan.fidelity.items()}
        places = tuple(_places(orchestrator, spec))
        shaped = {place.artefact for place in places}
        return Compiled(
            told,
            tuple(a for a in plan.artefacts if not a.secret and (a.name in shaped or not shaped)),
            all_grades(source.policy, found, exported=exported),
            places,
        )


def _any_model(launch: Launch) -> Launch:
    """A policy is the same whatever image runs and wherever the model lies: neither may keep it from being compiled."""
    return replace(launch, image=launch.image or "image", files=(), py_modules=())


@contextmanager
def _orchestrator(source: Source, at_s: float, host: Host) -> Iterator[Orchestrator]:
    with TemporaryDirectory() as scratch:
        env: Env = replace(env_for(Path(scratch), owner="", progress=say_nothing), clock=_StoppedClock(at_s))
        yield host.build("orchestrator", source.plugin, source.options, env)


def _launch(engine: str | None, host: Host) -> Launch:
    """Of an engine whose model is not known: its metrics are the same for all. The named one, or any if all agree."""
    names = (engine,) if engine else host.names("engine")
    with TemporaryDirectory() as scratch:
        launches = {
            name: host.build("engine", name, {}, env_for(Path(scratch), owner="", progress=say_nothing)).launch("model")
            for name in names
        }
    if not launches:
        raise UserError("no engine is installed, and its metrics are what a backend scales by; `fs plugins list`")
    first, *others = launches.values()
    if any(other.signals != first.signals for other in others):
        raise UserError(f"the installed engines' metrics differ: say which with --engine: {', '.join(launches)}")
    return first


def _places(orchestrator: Orchestrator, spec: DeploymentSpec) -> Iterator[Place]:
    """Found by changing one field at a time and looking what changes; without the schedule, whose floors would move."""
    told = _leaves(orchestrator, spec)
    flat = replace(spec.policy, schedule=())
    before = _leaves(orchestrator, replace(spec, policy=flat))
    for field in (item.name for item in fields(AutoscalingPolicy)):
        for changed in _others(flat, field):
            after = _leaves(orchestrator, replace(spec, policy=changed))
            for place in before:
                if place in after and after[place] != before[place]:
                    yield Place(field, *place, told[place])
            break
    for place in told:
        if before.get(place) != told[place]:
            yield Place("schedule", *place, told[place])


def _others(policy: AutoscalingPolicy, field: str) -> Iterator[AutoscalingPolicy]:
    """Policies that differ in this field alone."""
    value = getattr(policy, field)
    candidates: tuple[Any, ...] = ()
    if field == "on_signal_loss":
        candidates = (policy.max_replicas,) if value != policy.max_replicas else ("hold",)
    elif field not in ("slo", "schedule"):
        candidates = (value + 1, value - 1) if value is not None else (policy.min_replicas, 3)
    for candidate in candidates:
        try:
            yield replace(policy, **dict([(field, candidate)]))
        except ValueError:
            continue


def _leaves(orchestrator: Orchestrator, spec: DeploymentSpec) -> dict[tuple[str, str], object]:
    """(artefact, path) → value."""
    plan = orchestrator.compile((spec,))
    return {
        (artefact.name, path): value
        for artefact in plan.artefacts
        if not artefact.secret
        for path, value in _walk(artefact.body, "")
    }


def _walk(body: Any, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(body, Mapping):
        for key, value in body.items():
            yield from _walk(value, f"{path}.{key}" if path else str(key))
    elif isinstance(body, list):
        for index, value in enumerate(body):
            yield from _walk(value, f"{path}[{index}]")
    else:
        yield path, body
