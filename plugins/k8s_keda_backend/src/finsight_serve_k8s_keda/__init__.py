"""Kubernetes with KEDA as an orchestrator. Importing this package imports none of the plugin's own machinery."""

from finsight_serve.plugin import ControlLoop, Orchestrator, hookimpl


@hookimpl
def orchestrator() -> type[Orchestrator]:
    from .k8s_keda import K8sKeda

    return K8sKeda


@hookimpl
def control_loop() -> type[ControlLoop]:
    from .autoscaler import KedaControlLoop

    return KedaControlLoop
