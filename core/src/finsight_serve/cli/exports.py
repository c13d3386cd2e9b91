"""What a backend exports of a stack: files that people apply by their own means. Starts and changes nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from ..capabilities import ControllerHost, Exporter
from ..controller.assembly import BACKENDS, build_engine, build_load_balancer, choose_stack
from ..controller.reduce import reduce
from ..controller.state import State
from ..controller.want import deployment_specs
from ..errors import UserError, did_you_mean
from ..host import Host, env_for
from ..plugin import KEY_HASHES_ENV, DeploymentSpec
from ..ports import is_loopback, split_listen
from ..processes import SystemClock
from ..stack import Stack
from ..stack.document import read_document
from .options import say_nothing
from .stored import folder_or_scratch, stored_owner, stored_state, was_served


@dataclass(frozen=True)
class Export:
    stack: Stack
    folder: Path  # of its state, if there is any
    host: Host


@dataclass(frozen=True)
class InCluster:
    """The controller to be exported, and what the command line adds to its file."""

    file: Path
    image: str
    host_name: str
    backend: str | None
    overrides: Mapping[str, Any]


def export(
    what: Export, backend: str | None, form: str, alone: bool, inside: InCluster | None
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Relative path → text, and notes for people. `alone`: no controller will follow. Raises `UserError`."""
    name = _choose(what, backend, form)
    ref = what.stack.backends[name]
    followed = was_served(what.folder) and not alone and inside is None
    owner = stored_owner(what.folder) if followed else ""
    with folder_or_scratch(what.folder) as place:
        env = env_for(place / BACKENDS / name, owner=owner, progress=say_nothing)
        orchestrator = what.host.build("orchestrator", ref.plugin, ref.options, env)
        controller = _controller_host(what, place, inside) if inside else None
        specs = () if inside else tuple(_specs(what, place, name, followed))
        plan = orchestrator.compile(specs)
        files = cast(Exporter, orchestrator).export(plan, form, controller)
    return files, tuple(_notes(what, specs, followed, inside))


def _choose(what: Export, backend: str | None, form: str) -> str:
    """The backend whose deployments are exported."""
    refs = what.stack.backends
    if backend is not None and backend not in refs:
        raise UserError(f"no deployment is on backend {backend}; there are {', '.join(refs)}")
    forms = {
        name: dict(getattr(what.host.load("orchestrator", ref.plugin), "forms", {}))
        for name, ref in refs.items()
        if backend in (None, name)
    }
    able = [name for name, known in forms.items() if form in known]
    if len(able) == 1:
        return able[0]
    if able:
        raise UserError(f"-o {form}: {' and '.join(able)} can be exported so: say which with --backend NAME")
    raise UserError("\n".join(f"-o {form}: {_offer(name, known, form)}" for name, known in forms.items()))


def _offer(backend: str, forms: Mapping[str, str], form: str) -> str:
    if not forms:
        own = ("table", "json", "prometheus", "grafana")
        return f"backend {backend} exports nothing, so -o takes {', '.join(own)}{did_you_mean(form, own)}"
    told = ", ".join(f"{name} ({what})" for name, what in forms.items())
    return f"backend {backend} has no such form; there are {told}{did_you_mean(form, forms)}"


def _specs(what: Export, place: Path, backend: str, followed: bool) -> Iterator[DeploymentSpec]:
    """As the controller would apply them now; where none follows, with their schedules and without keys."""
    old = stored_state(what.folder) if followed else State()
    engines = {d.name: build_engine(d, what.host, place, say_nothing) for d in what.stack.deployments}
    chosen = choose_stack(what.stack, engines)
    durable = reduce(old, chosen, SystemClock().now()).state.durable
    known = old.durable.replica_keys  # not those that a changed launch would move on to: nobody knows them yet
    whole = {deployment.name: deployment.policy for deployment in what.stack.deployments}
    for spec in deployment_specs(replace(durable, replica_keys={**durable.replica_keys, **known}), what.stack, backend):
        spec = replace(spec, evict=frozenset())
        if spec.name not in known:
            env = {name: value for name, value in spec.launch.env.items() if name != KEY_HASHES_ENV}
            spec = replace(spec, launch=replace(spec.launch, env=env))
        yield spec if followed else replace(spec, policy=replace(whole[spec.name], slo=None))


def _notes(what: Export, specs: tuple[DeploymentSpec, ...], followed: bool, inside: InCluster | None) -> Iterator[str]:
    if inside:
        yield "only the controller is exported: it makes the deployments itself, as its file says"
        if not inside.host_name:
            yield "without --host NAME clients' keys travel in plain text to where it is reached"
        if what.stack.metrics.listen and _is_read_by_nobody(what.stack):
            yield (
                f"metrics.listen: {what.stack.metrics.listen} is the pod's own loopback, so no Prometheus reads the "
                'controller; in the cluster write "0.0.0.0:PORT" and allow_plaintext: true'
            )
        return
    if followed:
        yield f"this is what the controller of {what.folder} applies now; --no-controller exports for where none runs"
    if any(spec.policy.schedule for spec in specs):
        yield "`fs policy compile --export` says how far the schedules are followed where no controller runs"
    open_ones = [spec.name for spec in specs if KEY_HASHES_ENV not in spec.launch.env]
    if open_ones:
        yield f"replicas of {', '.join(open_ones)} ask for no key, as nobody would know it: they trust the network"


def _controller_host(what: Export, place: Path, inside: InCluster) -> ControllerHost:
    ref = what.stack.edge or what.stack.load_balancer
    url = urlsplit(build_load_balancer(what.stack, what.host, place, "", say_nothing).url)
    options = what.host.options("load_balancer", ref.plugin, ref.options).model_dump(mode="json")
    for name, value in options.items():
        if value == url.netloc and is_loopback(url.hostname or ""):
            raise UserError(
                f"{inside.file}: {'edge' if what.stack.edge else 'load_balancer'}.{name}: {value} is the pod's own "
                f'loopback, where nobody else gets to; in the cluster write "0.0.0.0:{url.port}"'
            )
    port = url.port or (443 if url.scheme == "https" else 80)
    metrics_port = 0 if _is_read_by_nobody(what.stack) else split_listen(what.stack.metrics.listen)[1]
    return ControllerHost(inside.image, _stack_file(inside), what.stack.name, port, inside.host_name, metrics_port)


def _is_read_by_nobody(stack: Stack) -> bool:
    """Where the controller has a pod of its own, and its loopback is nobody else's."""
    return not stack.metrics.listen or is_loopback(split_listen(stack.metrics.listen)[0])


def _stack_file(inside: InCluster) -> str:
    """The file as it stands, unless the command line says more."""
    added = {**inside.overrides, **({"backend": inside.backend} if inside.backend else {})}
    if not added:
        return inside.file.read_text(encoding="utf-8-sig")
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 120
    text = StringIO()
    yaml.dump(read_document(inside.file).replaced(added).data, text)
    return text.getvalue()
