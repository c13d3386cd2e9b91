"""The public contract: the values that cross it, the roles a plugin may play, the hook specs.

A plugin is an installed distribution with an entry point in one of `GROUPS`; the entry point names a module
(or object) that implements the hook of its kind by returning the plugin's class. Orchestrators and load
balancers are *actuators*: compile (pure, the whole want), apply (idempotent), observe (snapshots). Deploying,
changing a policy, evicting, adopting and removing are the same three calls with another want.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

import pluggy

from .domain import AutoscalingPolicy, Event, routing
from .env import Env
from .errors import UserError

if TYPE_CHECKING:
    from pydantic import BaseModel  # costs 100 ms, and listing the plugins needs none of it

hookspec, hookimpl = pluggy.HookspecMarker("finsight_serve"), pluggy.HookimplMarker("finsight_serve")

Kind = Literal["orchestrator", "load_balancer", "health_probe", "engine", "events"]
GROUPS: Mapping[Kind, str] = {
    "orchestrator": "finsight_serve.orchestrators",
    "load_balancer": "finsight_serve.load_balancers",
    "health_probe": "finsight_serve.health_probes",
    "engine": "finsight_serve.engines",
    "events": "finsight_serve.events",  # modules that only implement before_apply or on_event
}

KEY_HASHES_ENV = "FINSIGHT_KEY_SHA256"
"""Replica environment: comma-separated SHA-256 (hex) of the bearer keys it must accept; every other request is 401."""
OPEN_METRICS_ENV = "FINSIGHT_OPEN_METRICS"
"""Replica environment: "1" opens GET /metrics to whoever reaches the replica; for where the network lets in few."""
METRICS_KEY_ENV = "FINSIGHT_METRICS_KEY"
"""Replica environment: a bearer key that opens GET /metrics and nothing else."""


class Feature(Enum):
    """What a plugin may lack, and says so with a reason in `lacks`."""

    APPLY = "apply"  # it only renders what people apply themselves
    SCALING = "scaling"  # the replica count follows the policy's target by itself
    EVICT = "evict"
    GPUS = "gpus"
    KEYS = "keys"
    LIMITS = "limits"
    STICKY = "sticky"
    LEDGER = "ledger"
    OPEN_STREAMS = "open_streams"
    SPARES = "spares"  # a request that no replica of its deployment takes is tried on the table's spare
    SHADOW = "shadow"  # a share of the requests can be copied to a socket
    SHEDDING = "shedding"  # what a deployment has no room for is refused at once, and fairly


@dataclass(frozen=True)
class Problem:
    """Something a person must mend: what is wrong and the command or change that mends it."""

    message: str
    fix: str
    field: str = ""  # dotted path inside the plugin's own options, or "model"; "" for the machine
    is_warning: bool = False  # of `check`: it is said, and nothing is refused for it


@dataclass(frozen=True)
class Launch:
    """How an engine is started: engine → orchestrator, a value, so neither imports the other."""

    argv: tuple[str, ...]  # a process that serves; "{host}" and "{port}" are filled in, and SIGTERM drains it
    asgi: str  # "module:factory", for hosts that run the engine in their own process:
    asgi_argv: tuple[str, ...] = ()  # `await factory(asgi_argv)` is an ASGI app with lifespan and GET /health
    env: Mapping[str, str] = field(default_factory=dict)
    signals: Mapping[str, str] = field(default_factory=dict)  # running | waiting | tokens → Prometheus metric
    num_cpus: float = 1.0
    num_gpus: float = 0.0
    image: str = ""  # for container orchestrators: where `argv` finds the engine,
    py_modules: tuple[str, ...] = ()  # and top-level packages of this machine that it needs and the image lacks,
    files: tuple[str, ...] = ()  # and the absolute paths it reads, which are on this machine only
    plain_env: frozenset[str] = frozenset()  # names in `env` whose values are no secrets; all others may be


@dataclass(frozen=True)
class DeploymentSpec:
    name: str
    launch: Launch
    policy: AutoscalingPolicy  # flat and true now; a schedule stands in it only in exports that no controller follows
    evict: frozenset[str] = frozenset()  # ids of replicas that must go


@dataclass(frozen=True)
class Artefact:
    name: str
    body: Any  # text, or the JSON object itself; never text that apply() parses again
    secret: bool = False  # `fs plan` shows only that it changed


@dataclass(frozen=True)
class Grade:
    verdict: Literal["exact", "approximate", "impossible"]
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """A policy field without a grade counts as impossible."""

    artefacts: tuple[Artefact, ...]
    fidelity: Mapping[tuple[str, str], Grade] = field(default_factory=dict)  # (deployment, policy field) → grade


def graded_fields(policy: AutoscalingPolicy) -> tuple[str, ...]:
    """What an orchestrator grades: all but the promised service level, and the schedule where it is empty."""
    names = (spec.name for spec in fields(policy))
    return tuple(name for name in names if name != "slo" and (name != "schedule" or policy.schedule))


@dataclass(frozen=True)
class Replica:
    id: str  # unique for ever: a replacement has another
    deployment: str
    address: str  # host:port, reachable from the load balancer; "" until it listens
    state: Literal["starting", "ready", "draining", "failed"]
    reason: str = ""  # why it failed or does not start: its last log lines


@dataclass(frozen=True)
class Observed:
    replicas: tuple[Replica, ...] = ()
    in_force: tuple[Artefact, ...] | None = None  # for diff and drift; None: compare with the last applied plan
    refs: Mapping[str, str] = field(default_factory=dict)  # deployment → native endpoint, "k8s://UID/NAMESPACE/SERVICE"
    notes: Mapping[str, str] = field(default_factory=dict)  # deployment → how its autoscaler is, for people
    open_streams: Mapping[tuple[str, str], int] | None = None  # (tenant, deployment) → count; None = unknown
    certificate_ends_s: float | None = None  # Unix time at which the certificate that clients are shown runs out


@dataclass(frozen=True)
class Ceiling:
    """How far an orchestrator is advised to go; lint and status say so to whoever comes near."""

    replicas: int  # of one deployment
    why: str

    def is_near(self, replicas: int) -> bool:
        """From 80 % on, there is little room left to move in good time."""
        return replicas >= 0.8 * self.replicas


REFUSED = routing.REFUSED
"""In a route's weights, in a deployment's place: that share is answered 503 with `Retry-After`."""
TENANT_HEADER, DEPLOYMENT_HEADER = "x-finsight-tenant", "x-finsight-deployment"
"""Between a load balancer that knows the keys and one behind it: whose the request is, and who answered it."""


@dataclass(frozen=True)
class Limits:
    """None: no limit. Over one, a request is answered 429 with `Retry-After`."""

    max_ongoing_requests: int | None = None
    requests_per_s: float | None = None  # a second's worth may come at once
    tokens_per_minute: int | None = None  # prompt and completion; known when an answer ends, so the next ones wait


@dataclass(frozen=True)
class Route:
    """The order of `weights` matters: a session keeps its deployment as long as that one's share has not moved."""

    tenant: str
    key_sha256: tuple[str, ...]
    weights: Mapping[str, int]  # deployment or REFUSED → percent, adding up to 100; empty = all refused
    limits: Limits = Limits()
    shadow_percent: int = 0  # share of the requests copied to the table's `shadow_socket`
    assigned: Mapping[str, int] = field(default_factory=dict)  # the weights, had every deployment a ready replica


@dataclass(frozen=True)
class RouteTable:
    routes: tuple[Route, ...] = ()
    replicas: tuple[Replica, ...] = ()  # the ready ones
    upstream_keys: Mapping[str, str] = field(default_factory=dict, repr=False)  # deployment → its replicas' bearer key
    version: int = 0  # grows with every change; each ledger line says by which version it was routed
    shadow_socket: str = ""  # path of a unix socket; whoever listens there answers at once, and may be absent
    refs: Mapping[str, str] = field(default_factory=dict)  # deployment → native endpoint, as its backend observed it
    spares: Mapping[str, str] = field(default_factory=dict)  # deployment → who may answer what its replicas didn't take
    fronts: bool = False  # the replicas are a load balancer that goes by TENANT_HEADER and answers DEPLOYMENT_HEADER
    max_ongoing_requests: Mapping[str, int] = field(default_factory=dict)
    """Deployment → requests in work at it at a time, of all tenants; more are answered 503 with `Retry-After`, at once
    and without any replica having been asked. One who has none in work gets in beside others who ask for all of it.
    A deployment that is not named has no bound."""


@dataclass(frozen=True)
class Request:
    """A ledger line."""

    cursor: str  # where to go on reading after this one
    id: str
    tenant: str
    deployment: str
    replica: str  # address of the last try; "" if none
    status: int
    outcome: Literal["complete", "truncated", "client_closed", "failed", "unknown"]
    started_s: float
    duration_s: float | None
    ttft_s: float | None  # to the first body byte
    route_version: int = 0  # of the table that routed it
    sent_bytes: int | None = None  # body bytes passed to the client
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tokens_from: Literal["usage", "chunks", ""] = ""  # as the engine said, or a stream's chunks counted


Verdict = Literal["ok", "refused", "timeout", "saturated", "wrong"]
Want = TypeVar("Want", contravariant=True)


class Plugin(Protocol):
    name: ClassVar[str]
    Options: ClassVar["type[BaseModel]"]
    lacks: ClassVar[Mapping[Feature, str]]  # feature → why

    def __init__(self, options: Any, env: Env) -> None: ...

    def check(self) -> Sequence[Problem]:
        """What this machine lacks for it. Reads, never changes; called before anything starts and by `fs doctor`."""
        ...


class Actuator(Plugin, Protocol[Want]):
    on_this_machine: bool  # what apply() starts lives here, so `fs serve` stops it when it is told to end

    def compile(self, want: Want) -> Plan:
        """Pure. The whole want: an empty one means that nothing of it shall run."""
        ...

    async def apply(self, plan: Plan) -> None:
        """Idempotent, may be cancelled and called again; prunes only what `env.owner` owns. Raises `ApplyError`."""
        ...

    def observe(self) -> AsyncIterator[Observed]:
        """Full snapshots, the first at once, then one after each change. Raises if it can't be known."""
        ...


class Orchestrator(Actuator[tuple[DeploymentSpec, ...]], Protocol):
    """May have a class variable `ceiling: Ceiling`, where it is known not to hold any number of replicas."""


class LoadBalancer(Actuator[RouteTable], Protocol):
    url: str  # the durable endpoint, "http://127.0.0.1:8000"

    def requests(self, after: str) -> AsyncIterator[Request]:
        """The ledger from the cursor `after` ("" = from the start) on, for ever: each at least once, unique by id."""
        ...


class HealthProbe(Plugin, Protocol):
    async def probe(self, replica: Replica, model: str, key: str) -> Verdict:
        """One try, within the probe's own deadline; never raises for what the replica does."""
        ...


class Engine(Plugin, Protocol):
    def check_model(self, model: str) -> Sequence[Problem]:
        """What is wrong with the model or the engine's options, found without changing or starting anything."""
        ...

    def prepare(self, model: str) -> None:
        """Makes the model loadable (converts, caches); at once if it is. Resumes or redoes a half-done cache."""
        ...

    def launch(self, model: str) -> Launch:
        """Pure."""
        ...

    def served_model(self, model: str) -> str:
        """The name that clients put in `model`."""
        ...


class ApplyError(UserError):
    """What could not be applied and why, in a sentence for people.

    `lasting`: nothing was changed, and waiting mends nothing: only a person can. A first start is given up on it.
    """

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting


class ControlLoop(Protocol):
    """A backend's own autoscaler, run by the policy lab without the backend. It keeps its delays and averages."""

    period_s: float  # how often the lab calls `step`

    def step(self, policy: AutoscalingPolicy, now_s: float, ongoing: float | None, ready: int, target: int) -> int:
        """The replicas to have from now on, within the policy's bounds.

        `policy` is flat and true now; `ongoing` the requests running and queued now, None where the signal is lost;
        `ready` the replicas that can serve; `target` the count that was decided last, those still starting included.
        """
        ...


class Hooks:
    """Every hook, in the order of a plugin's life."""

    @hookspec
    def orchestrator(self) -> type[Orchestrator]:
        """The class of an orchestrator. Called once, when a stack names it."""
        raise NotImplementedError

    @hookspec
    def control_loop(self) -> type[ControlLoop]:
        """The class of an orchestrator's control loop, built without arguments; absent where it can't be simulated."""
        raise NotImplementedError

    @hookspec
    def load_balancer(self) -> type[LoadBalancer]:
        """The class of a load balancer. Called once, when a stack needs it."""
        raise NotImplementedError

    @hookspec
    def health_probe(self) -> type[HealthProbe]:
        """The class of a health probe. Called once, when a stack needs it."""
        raise NotImplementedError

    @hookspec
    def engine(self) -> type[Engine]:
        """The class of an engine. Called once, when a deployment names it."""
        raise NotImplementedError

    @hookspec
    def before_apply(self, backend: str, plan: Plan) -> str | None:
        """Before a changed plan is applied to `backend`; a reason vetoes it. Must not block."""
        raise NotImplementedError

    @hookspec
    def on_event(self, event: Event) -> None:
        """After an event was stored. Must not block; what it raises is logged and changes nothing."""
        raise NotImplementedError
