"""What the reducer hears: everything that may change the state, and nothing that tells it what to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..domain.figures import Figures
from ..domain.health import Verdict
from ..domain.migration import Migration
from ..domain.shadow import ShadowReport
from ..plugin import Launch, Observed
from ..stack.values import Stack, Tenant
from .state import MigrationFigures, ReplicaLoad


@dataclass(frozen=True)
class StackChosen:
    stack: Stack
    launches: Mapping[str, Launch]
    served_models: Mapping[str, str]
    fresh_keys: Mapping[str, tuple[str, str]]  # deployment → two new random keys, used where they are needed
    by: str = ""


@dataclass(frozen=True)
class TenantAdded:
    tenant: Tenant
    key_sha256: str
    by: str = ""  # who asked, as the system knows them


@dataclass(frozen=True)
class TenantChanged:
    """Other limits for a tenant that was added (those of the file change with the file)."""

    tenant: Tenant
    by: str = ""


@dataclass(frozen=True)
class TenantRemoved:
    tenant: str
    by: str = ""


@dataclass(frozen=True)
class FirstKeysIssued:
    """For tenants of a stack that is about to be chosen, in one go: there may be thousands."""

    key_sha256: Mapping[str, str]  # tenant → hash; ignored for who has, or had, a key
    by: str = ""


@dataclass(frozen=True)
class TenantKeyIssued:
    tenant: str
    key_sha256: str
    grace_s: float = 0.0  # how long the keys so far still hold
    by: str = ""


@dataclass(frozen=True)
class TenantKeysRevoked:
    tenant: str
    by: str = ""


@dataclass(frozen=True)
class MigrationsAsked:
    migrations: tuple[Migration, ...]  # phase "planned"; all or none of them are taken
    by: str = ""


@dataclass(frozen=True)
class MigrationPaused:
    id: str
    by: str = ""


@dataclass(frozen=True)
class MigrationResumed:
    id: str
    by: str = ""


@dataclass(frozen=True)
class RollbackAsked:
    id: str
    by: str = ""


@dataclass(frozen=True)
class Measured:
    """What the ledger says now; taken about once a second while anything changes by it."""

    deployments: Mapping[str, Figures]
    migrations: Mapping[str, MigrationFigures]
    shadows: Mapping[str, ShadowReport]


@dataclass(frozen=True)
class RoutesSeen:
    """The ledger has requests of this route table, and of none with a higher number."""

    version: int


@dataclass(frozen=True)
class StackAmended:
    """The same stack with other policies, health or breaker rules or limits: nothing is built or started anew."""

    stack: Stack
    by: str = ""


@dataclass(frozen=True)
class TimePassed:
    """Nothing but the time has changed."""


@dataclass(frozen=True)
class Seen:
    backend: str
    observed: Observed


@dataclass(frozen=True)
class Unseen:
    backend: str
    reason: str


@dataclass(frozen=True)
class Applied:
    backend: str
    emptied: bool  # the want that was applied was the empty one
    route_version: int | None = None  # of the route table that was applied; None for backends


@dataclass(frozen=True)
class NotApplied:
    backend: str
    reason: str
    lasting: bool = False  # as `ApplyError` says


@dataclass(frozen=True)
class Probed:
    replica_id: str
    verdict: Verdict
    tokens_moved: bool
    load: ReplicaLoad


@dataclass(frozen=True)
class StopAsked:
    keep: frozenset[str]  # backends to detach from; `fs down` keeps none
    by: str = ""


TenantFact = TenantAdded | TenantChanged | TenantRemoved | FirstKeysIssued | TenantKeyIssued | TenantKeysRevoked
MigrationFact = MigrationsAsked | MigrationPaused | MigrationResumed | RollbackAsked
Intent = StackAmended | StopAsked | TenantFact | MigrationFact
Observation = Seen | Unseen | Applied | NotApplied | Probed
News = StackChosen | Intent | Measured | RoutesSeen | Observation
Fact = News | TimePassed
