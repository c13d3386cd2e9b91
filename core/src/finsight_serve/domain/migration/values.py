"""A migration, the rules it follows and what it is told of the world."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..breaker import BreakerState
from ..figures import Figures
from ..limit import Limit
from ..shadow import ShadowReport

Phase = Literal[
    "planned",  # waits for the wave before its own
    "preparing",  # the destination grows to `prescale_replicas`
    "probing",  # its replicas are asked until all of them answer
    "shadowing",  # optional: copies of requests are compared, none is moved yet
    "shifting",  # `steps[step]` percent of the requests go to the destination
    "draining",  # all of them do, and streams that began at the source end there
    "rolling_back",  # the old weights hold again, and streams that began at the destination end there
    "done",
    "rolled_back",
    "failed",  # it never began to move anything
]
Waves = Literal["running", "done", "broken"]
NOT_BEGUN: frozenset[Phase] = frozenset({"planned", "preparing", "probing"})
"""Nothing is moved and nothing copied: whoever goes back from here is over at once."""
OVER: frozenset[Phase] = frozenset({"done", "rolled_back", "failed"})
STEPS = (1, 10, 50, 100)


@dataclass(frozen=True)
class MigrationRules:
    steps: tuple[int, ...] = STEPS  # percent, rising, ending at 100
    hold_s: float = 60.0  # how long a step lasts at least, from its weights being in force
    min_requests: int = 20  # seen at the destination before a step (or the shadow) is proved; 0: an idle tenant's
    limits: tuple[Limit, ...] = ()
    shadow_percent: int = 0  # 0: no shadow phase
    prepare_deadline_s: float = 900.0  # preparing and probing together; then it gives up, with nothing moved
    step_deadline_s: float = 6 * 3600.0  # a step (or the shadow) that proves nothing for so long rolls back
    drain_deadline_s: float = 900.0


@dataclass(frozen=True)
class ShiftRecord:
    """One step as it was: which requests belong to it is told by the route table's versions."""

    percent: int  # to the destination; 0 in the rollback
    began_s: float
    from_version: int = 0  # of the route table; 0 until it has a number


@dataclass(frozen=True)
class Migration:
    id: str
    tenant: str
    source: Mapping[str, int]  # the tenant's weights when it began, which a rollback restores
    destination: str
    rules: MigrationRules = field(default_factory=MigrationRules)
    batch: str = ""  # the id of the first of those asked for together
    wave: int = 0  # starts when all of the batch's lower waves are done
    model: str = ""  # as the tenant's clients ask for it; "" where that is not known
    asked_by: str = ""
    asked_s: float = 0.0
    phase: Phase = "planned"
    since_s: float = 0.0  # when the phase (or the step) began; preparing and probing have one beginning together
    step: int = 0
    in_force_s: float | None = None  # since when the step's weights have been applied; None: not yet
    paused: bool = False
    paused_s: float = 0.0  # since when, while it is
    prescale_replicas: int = 0  # what the destination is held at while this goes on
    baseline: Figures = field(default_factory=Figures)  # of the tenant at its sources: what relative limits go by
    records: tuple[ShiftRecord, ...] = ()
    reason: str = ""  # why it is in this phase, for people
    proof: str = ""  # when it is over: N requests, f failed, t truncated; or what makes it unproven


@dataclass(frozen=True)
class Situation:
    """What one look at the world says of a migration. None: it can't be known now, and what needs it waits."""

    tenant_exists: bool = True
    destination_exists: bool = True
    sources_exist: bool = True  # all of them
    watched_since_s: float | None = 0.0
    """Since when the stack has been up and looked at without a break. None: it isn't, and nothing goes forward.

    What was before counts for no deadline and no hold: nobody saw it."""
    source_replicas: int = 0  # routed to, of the source that has most of them
    sources_take_all: bool = True  # one at least takes its whole share; else the rest goes elsewhere
    destination_replicas: int | None = None  # ready ones
    destination_failing: int = 0  # of them, by the probe
    destination_probed: int = 0  # of them, asked at least once and not failing
    destination_ceiling: int = 1  # the most that its policy allows now
    breaker: BreakerState = "closed"  # the destination's; half-open, it gets a part of its share alone
    is_in_force: bool = False  # the load balancer has a table with the present weights
    destination: Figures | None = None  # of the present step
    since_first: Figures | None = None  # the destination's of all steps
    destination_model: str = ""  # as clients ask for it; "" where that is not known
    source: Figures | None = None  # of the same step; before anything is moved: of the tenant's last day
    open_at_sources: int | None = None  # streams of the tenant
    open_at_destination: int | None = None
    shadow: ShadowReport | None = None
    earlier_waves: Waves = "done"
