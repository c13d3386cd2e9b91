"""From a stack to the plugins that run it, and to the facts that a controller starts with."""

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from ..host import Host, env_for
from ..plugin import Engine
from ..stack.values import Deployment, PluginRef, Stack
from .controller import Parts
from .facts import StackChosen

BACKENDS, LOAD_BALANCER, PROBE, ENGINES = "backends", "load_balancer", "probe", "engines"
"""Each plugin instance's own folder, below the state folder."""

Progress = Callable[[str], None]


def build_parts(
    stack: Stack, retired: Mapping[str, PluginRef], host: Host, folder: Path, owner: str, say: Progress
) -> Parts:
    """Raises `PluginError`. The backends that the stack left behind are built too: they are to be emptied."""
    return Parts(
        {
            name: host.build(
                "orchestrator", ref.plugin, ref.options, env_for(folder / BACKENDS / name, owner=owner, progress=say)
            )
            for name, ref in {**retired, **stack.backends}.items()
        },
        host.build(
            "load_balancer",
            stack.load_balancer.plugin,
            stack.load_balancer.options,
            env_for(folder / LOAD_BALANCER, owner=owner, progress=say),
        ),
        host.build(
            "health_probe", stack.probe.plugin, stack.probe.options, env_for(folder / PROBE, owner=owner, progress=say)
        ),
    )


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
