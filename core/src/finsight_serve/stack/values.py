"""What an fs.yaml says once it has been validated: plain values, JSON all the way down, no plugin objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..domain import AutoscalingPolicy
from ..domain.breaker import BreakerRules
from ..domain.health import HealthRules


@dataclass(frozen=True)
class PluginRef:
    plugin: str
    options: Mapping[str, Any] = field(default_factory=dict)  # as written; the plugin's Options model accepted them


@dataclass(frozen=True)
class Deployment:
    name: str
    model: str
    engine: PluginRef
    backend: str  # a key of Stack.backends
    policy: AutoscalingPolicy
    max_ongoing_requests: int | None = None  # at each ready replica; None: by the policy's target; 0: no bound


@dataclass(frozen=True)
class Tenant:
    name: str
    deployment: str
    max_ongoing_requests: int | None = None
    requests_per_s: float | None = None
    tokens_per_minute: int | None = None


@dataclass(frozen=True)
class MetricsEndpoint:
    """Where Prometheus finds the controller, and people the runbook that its alerts name."""

    listen: str = ""  # host:port; "": nowhere but on the controller's own socket
    runbooks: str = "runbooks"
    prometheus: str = "http://127.0.0.1:9090"  # as Grafana reaches it


@dataclass(frozen=True)
class Stack:
    name: str
    backends: Mapping[str, PluginRef]  # only those that a deployment uses
    load_balancer: PluginRef
    probe: PluginRef
    health: HealthRules
    deployments: tuple[Deployment, ...]
    tenants: tuple[Tenant, ...]  # the file's; `fs tenant add` makes more, which are the state's
    breaker: BreakerRules = field(default_factory=BreakerRules)
    edge: PluginRef | None = None  # knows the keys where the load balancer has none
    metrics: MetricsEndpoint = field(default_factory=MetricsEndpoint)
