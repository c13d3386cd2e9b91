"""A tenant on its way from one deployment to another, told fact by fact."""

from finsight_serve.controller.facts import (
    Applied,
    Fact,
    Measured,
    MigrationsAsked,
    Seen,
    TimePassed,
)
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.routing import route_table
from finsight_serve.controller.state import LOAD_BALANCER, MigrationFigures, State
from finsight_serve.controller.want import want
from finsight_serve.domain.figures import Figures
from finsight_serve.domain.migration import Migration, MigrationRules
from finsight_serve.plugin import Observed

from .worlds import chosen, probed, replica, seen, stack

STACK = stack(("old", "one"), ("new", "two"))
RULES = MigrationRules(
    steps=(10, 100),
    hold_s=5,
    min_requests=3,
    prepare_deadline_s=100,
    step_deadline_s=1000,
    drain_deadline_s=50,
)
MOVE = Migration("m-1", "default", {}, "new", RULES)
GOOD, BAD = Figures(requests=5), Figures(requests=5, failed=5, failures_in_a_row=5)


class Story:
    """Facts told one after the other, two seconds apart, with what a controller would report of itself in between."""

    def __init__(self) -> None:
        self.state, self.now_s, self.kinds = State(), 0.0, list[str]()
        self.tell(chosen(STACK), seen("one", replica("1", "old")), seen("two", replica("2", "new")))
        self.see_streams()
        self.apply()

    def tell(self, *facts: Fact) -> "Story":
        for fact in facts:
            self.now_s += 2
            step = reduce(self.state, fact, self.now_s)
            assert not step.refused, step.refused
            self.state = step.state
            self.kinds += [event.kind for event in step.events]
        return self

    def ask(self, *migrations: Migration, by: str = "") -> "Story":
        """And the ledger says that the tenant asked nothing on the last day."""
        self.tell(MigrationsAsked(migrations, by))
        return self.tell(Measured({}, {migration.id: MigrationFigures() for migration in migrations}, {}))

    def apply(self) -> "Story":
        return self.tell(Applied(LOAD_BALANCER, emptied=False, route_version=self.state.durable.route_version))

    def see_streams(self, old: int = 0, new: int = 0) -> "Story":
        counts = {("default", "old"): old, ("default", "new"): new}
        return self.tell(Seen(LOAD_BALANCER, Observed(open_streams=counts)))

    def measure(self, figures: Figures) -> "Story":
        """The destination's, as of the present step."""
        records = self.migration.records
        version = records[-1].from_version if records else 0
        return self.tell(Measured({}, {"m-1": MigrationFigures(figures, Figures(), version)}, {}))

    def wait(self, seconds: float) -> "Story":
        self.now_s += seconds
        return self.tell(TimePassed())

    @property
    def migration(self) -> Migration:
        return self.state.durable.migrations["m-1"]

    @property
    def weights(self) -> dict[str, int]:
        (route,) = route_table(self.state).routes
        return dict(route.weights)

    @property
    def floor(self) -> int:
        return want(self.state).backends["two"][0].policy.min_replicas

    def prove(self, figures: Figures = GOOD) -> "Story":
        return self.apply().measure(figures).wait(RULES.hold_s).measure(figures)


def moving() -> Story:
    return Story().ask(MOVE, by="ann").tell(probed("2", "ok"))


def limits(text: str) -> tuple[object, ...]:
    from finsight_serve.domain.limit import parse_limit

    return (parse_limit(text),)
