"""Ray Serve as an orchestrator. Importing this package imports neither Ray nor the plugin's own machinery."""

from finsight_serve.plugin import ControlLoop, Orchestrator, hookimpl


@hookimpl
def orchestrator() -> type[Orchestrator]:
    from .ray_serve import RayServe

    return RayServe


@hookimpl
def control_loop() -> type[ControlLoop]:
    from .autoscaler import RayControlLoop

    return RayControlLoop
