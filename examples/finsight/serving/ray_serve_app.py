"""One engine as a plain Ray Serve application, without FinSight Serve around it.

    serve run serving.ray_serve_app:build                      # vLLM and the small model, on Ray's port 8000
    serve run serving.ray_serve_app:build engine=sim model=demo

`fs serve --backend ray` puts the same thing on Ray by its REST API: an engine's own ASGI app in a deployment that
scales by the policy. What it adds is all around it: keys, a load balancer that reaches replicas directly, probes with
eviction, a policy that changes without replacing a replica, and a controller that may die.
"""

import importlib
import os
import tempfile
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from ray import serve

from finsight_serve.host import Host, env_for

from .autoscaling_policy import DEFAULT_AUTOSCALING


class Arguments(BaseModel):
    engine: str = "vllm"
    model: str = "smollm2"
    engine_options: dict[str, Any] = {}


@serve.deployment(autoscaling_config=DEFAULT_AUTOSCALING, max_ongoing_requests=256, health_check_period_s=10)
@serve.ingress()  # no app: `__serve_build_asgi_app__` makes it when a replica starts
class Engine:
    def __init__(self, asgi: str, argv: tuple[str, ...], env: dict[str, str]) -> None:
        self.asgi, self.argv = asgi, argv
        os.environ.update(env)

    async def __serve_build_asgi_app__(self) -> Any:
        module, _, factory = self.asgi.partition(":")
        return await getattr(importlib.import_module(module), factory)(self.argv)


def build(arguments: Arguments) -> serve.Application:
    """Prepares the model on this machine and binds the engine's launch. Raises `PluginError`, `ApplyError`."""
    with tempfile.TemporaryDirectory() as folder:
        env = env_for(Path(folder), owner="", progress=print)
        engine = Host().build("engine", arguments.engine, arguments.engine_options, env)
        engine.prepare(arguments.model)
        launch = engine.launch(arguments.model)
    needs = {"num_cpus": launch.num_cpus, "num_gpus": launch.num_gpus}
    deployment = Engine.options(ray_actor_options=needs)
    return deployment.bind(launch.asgi, launch.asgi_argv, dict(launch.env))
