"""What the reducer hears: everything that may change the state, and nothing that tells it what to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..domain.health import Verdict
from ..plugin import Launch, Observed
from ..stack.values import Stack
from .state import ReplicaLoad


@dataclass(frozen=True)
class StackChosen:
    stack: Stack
    launches: Mapping[str, Launch]
    served_models: Mapping[str, str]
    fresh_keys: Mapping[str, tuple[str, str]]  # deployment → two new random keys, used where they are needed


@dataclass(frozen=True)
class TenantKeyIssued:
    tenant: str
    key_sha256: str


@dataclass(frozen=True)
class StackAmended:
    """The same stack with other policies, health rules or limits: nothing has to be built or started anew."""

    stack: Stack


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


@dataclass(frozen=True)
class NotApplied:
    backend: str
    reason: str


@dataclass(frozen=True)
class Probed:
    replica_id: str
    verdict: Verdict
    tokens_moved: bool
    load: ReplicaLoad


@dataclass(frozen=True)
class StopAsked:
    keep: frozenset[str]  # backends to detach from; `fs down` keeps none


News = StackChosen | StackAmended | TenantKeyIssued | Seen | Unseen | Applied | NotApplied | Probed | StopAsked
Fact = News | TimePassed
