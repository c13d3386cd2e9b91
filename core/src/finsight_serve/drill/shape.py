"""What a drill's scratch service looks like, as a value and as the fs.yaml that it becomes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..capabilities import Scratch

STACK, MODEL = "drill", "rehearsal"
MAIN, SPARE = "chat", "chat-next"
STEADY, NOISY = "steady", "noisy"
PROBE = {"plugin": "one-token", "timeout_s": 2}


@dataclass(frozen=True)
class Choice:
    """The plugins, by name."""

    orchestrator: str
    load_balancer: str
    engine: str


@dataclass(frozen=True)
class Shape:
    """What a drill may ask for; where it changes something, it writes another shape of the same service."""

    replicas: int = 2
    most: int = 0  # replicas; 0: as many
    cold_start_s: float = 0.0
    max_running: int = 64
    target_ongoing_requests: float = 16.0
    has_spare: bool = False  # a second deployment of the same model
    window: Mapping[str, Any] | None = None  # of the main deployment's schedule
    has_tls: bool = False
    fails: str = ""  # the main deployment's engine ends while it loads
    has_moved_metrics: bool = False  # the load balancer's are at another port


@dataclass(frozen=True)
class Places:
    """What is free on this machine for it: host:port, but for the certificate's files."""

    listen: str
    controller_metrics: str
    balancer_metrics: str
    other_metrics: str
    certificate: str
    certificate_key: str


def scratch(shape: Shape, places: Places) -> Scratch:
    return Scratch(
        places.listen,
        places.other_metrics if shape.has_moved_metrics else places.balancer_metrics,
        places.certificate if shape.has_tls else "",
        places.certificate_key if shape.has_tls else "",
        shape.cold_start_s,
        TOKEN_INTERVAL_S,
        shape.max_running,
        shape.fails,
    )


TOKEN_INTERVAL_S = 0.03
"""Such that an answer of the steady load takes about a second, as a short one of a small model does."""


def stack(
    shape: Shape,
    choice: Choice,
    places: Places,
    *,
    backend: Mapping[str, Any],
    balancer: Mapping[str, Any],
    engine: Mapping[str, Any],
    spare_engine: Mapping[str, Any],
) -> Mapping[str, Any]:
    """fs.yaml's content. Its times are short, so that a drill is: probes and breakers have no `for:` to be divided."""
    policy = {
        "min_replicas": shape.replicas,
        "max_replicas": shape.most or shape.replicas,
        "target_ongoing_requests": shape.target_ongoing_requests,
        **({"schedule": [dict(shape.window)]} if shape.window else {}),
    }
    deployments = [{"name": MAIN, "policy": policy, "engine_options": dict(engine)}]
    if shape.has_spare:
        alone = {"min_replicas": 1, "max_replicas": 1}
        deployments.append({"name": SPARE, "policy": alone, "engine_options": dict(spare_engine)})
    return {
        "name": STACK,
        "backend": choice.orchestrator,
        "backends": {choice.orchestrator: {"orchestrator": choice.orchestrator, **backend}},
        "load_balancer": {"plugin": choice.load_balancer, **balancer},
        "probe": PROBE,
        "health": {"period_s": 1},
        "breaker": {"window_s": 10, "open_s": 5, "max_open_s": 10},
        "metrics": {"listen": places.controller_metrics},
        "deployments": [{"model": MODEL, "engine": choice.engine, **one} for one in deployments],
        "tenants": [{"name": STEADY, "deployment": MAIN}],
    }
