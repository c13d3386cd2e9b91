"""The controller's state: what is stored (durable) and what the outside world said last (volatile)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ..domain import AutoscalingPolicy
from ..domain.breaker import Breaker
from ..domain.figures import Figures
from ..domain.health import ReplicaHealth
from ..domain.migration import Migration
from ..domain.shadow import ShadowReport
from ..plugin import Launch, Observed, Replica, RouteTable
from ..stack.values import PluginRef, Stack, Tenant

V = TypeVar("V")


@dataclass(frozen=True)
class ReplicaKeys:
    """The bearer keys of one deployment's replicas.

    A replica accepts `current` and `previous`; clients of replicas (the load balancer, the probe) send `previous`.
    A changed launch replaces the replicas and moves the pair on by one, so that through the whole roll-over
    the old replicas (previous, older) and the new ones (current, previous) accept what is sent.
    """

    current: str = field(repr=False)
    previous: str = field(repr=False)
    launch_sha256: str
    outgoing: frozenset[str] = frozenset()  # replicas of before the last move: the pair stays until they are gone


@dataclass(frozen=True)
class Place:
    backend: str
    deployment: str


@dataclass(frozen=True)
class Durable:
    """What a restart must know. Everything else is observed again."""

    stack: Stack | None = None
    launches: Mapping[str, Launch] = field(default_factory=dict)  # deployment → how it starts
    served_models: Mapping[str, str] = field(default_factory=dict)  # deployment → the name that clients ask for
    replica_keys: Mapping[str, ReplicaKeys] = field(default_factory=dict)
    tenant_key_sha256: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # newest last; () = revoked
    key_ends_s: Mapping[str, float] = field(default_factory=dict)  # hash of a rotated key → when it stops to hold
    added_tenants: Mapping[str, Tenant] = field(default_factory=dict)  # by `fs tenant add`, beside the stack's
    assignments: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # tenant → weights, where it was moved
    breakers: Mapping[str, Breaker] = field(default_factory=dict)  # deployment → its breaker; closed unless here
    migrations: Mapping[str, Migration] = field(default_factory=dict)  # id → running ones, and the last that are over
    evicting: Mapping[str, Place] = field(default_factory=dict)  # replica id → where it is
    retired: Mapping[str, PluginRef] = field(default_factory=dict)  # backends and balancers that left the stack
    route_version: int = 0
    route_sha256: str = ""  # of the table that bears that number
    routed: Mapping[str, tuple[Replica, ...]] = field(default_factory=dict)  # backend → what it routes to
    refs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # backend → deployment → native endpoint
    policies_in_force: Mapping[str, AutoscalingPolicy] = field(default_factory=dict)  # deployment → the numbers now
    cut_overs_late: Mapping[str, int] = field(default_factory=dict)  # deployment → how many were acted on too late
    cold_starts_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # deployment → its last starts
    serving: bool = False  # every deployment has been ready since the last `down`


@dataclass(frozen=True)
class ReplicaLoad:
    """The engine's own figures at the last look; None where it does not say."""

    running: float | None = None
    waiting: float | None = None
    tokens: float | None = None


@dataclass(frozen=True)
class MigrationFigures:
    """The tenant's requests routed since the present step began (in the shadow: copies are not among them)."""

    destination: Figures = field(default_factory=Figures)
    source: Figures = field(default_factory=Figures)  # before anything is moved: the tenant's of the last day
    from_version: int = 0  # of the route table since which they count; 0 before anything is moved
    since_first: Figures | None = None  # the destination's of all steps: what was begun in one may fail in another


@dataclass(frozen=True)
class Stopping:
    keep: frozenset[str]  # backends to detach from: what they run goes on
    edge_is_down: bool = False
    down: frozenset[str] = frozenset()  # backends done


@dataclass(frozen=True)
class State:
    durable: Durable = Durable()
    observed: Mapping[str, Observed] = field(default_factory=dict)  # backend or "" (load balancer) → last snapshot
    unreachable: Mapping[str, str] = field(default_factory=dict)  # backend → why it can't be observed
    failing: Mapping[str, str] = field(default_factory=dict)  # backend → why its want could not be applied
    health: Mapping[str, ReplicaHealth] = field(default_factory=dict)
    load: Mapping[str, ReplicaLoad] = field(default_factory=dict)
    starting_since_s: Mapping[str, float] = field(default_factory=dict)  # replica id → when it was first seen
    measured: Mapping[str, Figures] = field(default_factory=dict)  # deployment → its breaker's window
    migration_figures: Mapping[str, MigrationFigures] = field(default_factory=dict)  # migration id → its step's
    shadow_reports: Mapping[str, ShadowReport] = field(default_factory=dict)  # migration id → its shadow's
    table: RouteTable | None = None  # what the rest says; kept, since at 10,000 tenants making it takes milliseconds
    routes_in_force: int = 0  # version of the route table that the load balancer was given last
    shadow_socket: str = ""  # where copies of requests are to go
    stopping: Stopping | None = None
    watched_since_s: float | None = None  # when migrations could go forward again; None: not now
    now_s: float = 0.0


LOAD_BALANCER = ""
"""The load balancer's place in maps keyed by backend: no backend can have an empty name."""


def without(mapping: Mapping[str, V], names: Collection[str]) -> Mapping[str, V]:
    """The same object where it has none of them: what has not changed is then seen at a glance."""
    if not any(name in mapping for name in names):
        return mapping
    return {name: value for name, value in mapping.items() if name not in names}
