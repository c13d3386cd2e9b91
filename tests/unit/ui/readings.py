"""Looks at a stack whose controller runs, or has ended; and documents of them."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from finsight_serve.controller.status import Status, describe
from finsight_serve.domain.breaker import Breaker
from finsight_serve.domain.migration import Migration, MigrationRules, ShiftRecord
from finsight_serve.plugin import Observed
from finsight_serve.store import Ledger, Store
from finsight_serve.testing.fakes import FakeClock
from finsight_serve.ui.document import document
from finsight_serve.ui.reading import Reader, Reading

from ..cli.served import NOW_S, Served
from ..controller.worlds import replica

MOVING = Migration(
    "M1",
    "acme",
    {"chat": 100},
    "new",
    MigrationRules(steps=(10, 50, 100)),
    asked_by="ada",
    phase="shifting",
    step=1,
    records=(ShiftRecord(10, NOW_S, 3), ShiftRecord(50, NOW_S, 4)),
)


class Running:
    """A controller that sees two replicas of `chat` and one of `new`, all well; or what a test makes of it."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.observed = {
            "": Observed(),
            "one": Observed((replica("1"), replica("2"))),
            "two": Observed((replica("9", "new"),)),
        }

    def status(self) -> Status | None:
        with closing(Store(self.served.folder, read_only=True)) as store:
            events = store.events(last=50)
        with closing(Ledger(self.served.folder, read_only=True)) as ledger:
            totals = ledger.totals()
        state = replace(self.served.state, observed=self.observed)
        return describe(state, controller="running, pid 7", url="", ledger=totals, events=events, ceilings={})


class Absent:
    def status(self) -> Status | None:
        return None


def look(folder: Path, controller: Any) -> Reading:
    return Reader(folder, controller, FakeClock(NOW_S)).look()


def shown(served: Served, controller: Any = None) -> Mapping[str, Any]:
    return document(look(served.folder, controller or Running(served)))


def move(served: Served, migration: Migration = MOVING) -> None:
    served.change(lambda durable: replace(durable, migrations={migration.id: migration}))


def open_breaker(served: Served, deployment: str = "chat", reason: str = "9 of 10 failed") -> None:
    served.change(lambda durable: replace(durable, breakers={deployment: Breaker("open", NOW_S, 1, reason)}))
