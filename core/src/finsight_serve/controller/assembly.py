"""From a stack to the plugins that run it, and to the facts that a controller starts with."""

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..host import Host, env_for
from ..plugin import Engine, Feature, LoadBalancer
from ..stack.values import Deployment, PluginRef, Stack
from .controller import Parts
from .edge import Fronted, lacks_together
from .facts import StackChosen
from .leaving import BEHIND_EDGE, FRONT, LeavingBalancer, is_balancer

BACKENDS, PROBE, ENGINES = "backends", "probe", "engines"
"""Each plugin instance's own folder is below the state folder, in these and in those of load balancers."""

Progress = Callable[[str], None]


def build_parts(
    stack: Stack, retired: Mapping[str, PluginRef], host: Host, folder: Path, owner: str, say: Progress
) -> Parts:
    """Raises `PluginError`. What the stack left behind is built too: it is to be emptied."""

    def build(name: str, ref: PluginRef) -> Any:
        if not is_balancer(name):
            env = env_for(folder / BACKENDS / name, owner=owner, progress=say)
            return host.build("orchestrator", ref.plugin, ref.options, env)
        env = env_for((folder / name).parent, owner=owner, progress=say)
        return LeavingBalancer(host.build("load_balancer", ref.plugin, ref.options, env), env.clock)

    return Parts(
        {name: build(name, ref) for name, ref in {**retired, **stack.backends}.items()},
        build_load_balancer(stack, host, folder, owner, say),
        host.build(
            "health_probe", stack.probe.plugin, stack.probe.options, env_for(folder / PROBE, owner=owner, progress=say)
        ),
    )


def build_load_balancer(stack: Stack, host: Host, folder: Path, owner: str, say: Progress) -> LoadBalancer:
    """With the edge before it, if the stack has one. Raises `PluginError`."""

    def build(ref: PluginRef, place: str) -> LoadBalancer:
        env = env_for(folder / place, owner=owner, progress=say)
        return host.build("load_balancer", ref.plugin, ref.options, env)

    if stack.edge is None:
        return build(stack.load_balancer, FRONT)
    fronted: Any = Fronted(build(stack.edge, FRONT), build(stack.load_balancer, BEHIND_EDGE))
    balancer: LoadBalancer = fronted  # one by all that it does; its name and `lacks` are an instance's, not a class's
    return balancer


def balancer_lacks(stack: Stack, host: Host) -> Mapping[Feature, str]:
    """Of what the clients meet. Raises `PluginError`."""
    lacks: Mapping[Feature, str] = host.load("load_balancer", stack.load_balancer.plugin).lacks
    return lacks_together(host.load("load_balancer", stack.edge.plugin).lacks, lacks) if stack.edge else lacks


def build_engine(deployment: Deployment, host: Host, folder: Path, say: Progress) -> Engine:
    """Raises `PluginError`."""
    env = env_for(folder / ENGINES / deployment.name, owner="", progress=say)
    return host.build("engine", deployment.engine.plugin, deployment.engine.options, env)


def choose_stack(stack: Stack, engines: Mapping[str, Engine]) -> StackChosen:
    models = {deployment.name: deployment.model for deployment in stack.deployments}
    return StackChosen(
        stack,
        {name: engine.launch(models[name]) for name, engine in engines.items()},
        {name: engine.served_model(models[name]) for name, engine in engines.items()},
        {name: (secrets.token_urlsafe(32), secrets.token_urlsafe(32)) for name in engines},
    )
