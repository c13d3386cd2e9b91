"""A state folder as a controller leaves it, and a controller that is there without running."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner, Result

from finsight_serve.cli.main import cli
from finsight_serve.controller.facts import Intent
from finsight_serve.controller.memory import documents, recall
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.state import Durable, State
from finsight_serve.controller.status import Status, describe
from finsight_serve.domain import AutoscalingPolicy, Event
from finsight_serve.errors import UserError
from finsight_serve.plugin import Request
from finsight_serve.stack.values import Tenant
from finsight_serve.store import Ledger, Store

from ..controller.worlds import chosen, replica, seen, stack

NOW_S = 1_000_000.0


class Served:
    """`acme` and `beta` are at `chat` on backend one; `new` on backend two serves the same model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        two = stack(("chat", "one"), ("new", "two"))
        acme = {"load_balancer": replace(two.load_balancer, plugin="acme")}
        backends = {name: replace(ref, plugin="acme") for name, ref in two.backends.items()}
        tenants = (Tenant("acme", "chat"), Tenant("beta", "chat"))
        deployments = tuple(replace(one, policy=AutoscalingPolicy(max_replicas=3)) for one in two.deployments)
        self.write(State())
        with closing(Ledger(folder)):
            pass
        self.hear(
            chosen(replace(two, tenants=tenants, backends=backends, deployments=deployments, **acme)),
            seen("one", *(replica(str(n)) for n in range(2))),
            seen("two", replica("9", "new")),
        )

    @property
    def state(self) -> State:
        with closing(Store(self.folder, read_only=True)) as store:
            return recall(store)

    def write(self, state: State, *events: Event) -> None:
        with closing(Store(self.folder)) as store:
            store.write_now(documents(state), events)

    def change(self, change: Callable[[Durable], Durable]) -> None:
        self.write(replace(self.state, durable=change(self.state.durable)))

    def hear(self, *facts: object) -> None:
        """What is observed is forgotten in between, as by a controller that starts anew each time."""
        for fact in facts:
            step = reduce(self.state, fact, NOW_S)  # type: ignore[arg-type]
            if step.refused:
                raise UserError(step.refused)
            self.write(step.state, *step.events)

    async def note(self, *requests: Request) -> None:
        with closing(Ledger(self.folder)) as ledger:
            await ledger.add(requests)

    def fs(self, *argv: str) -> Result:
        return CliRunner().invoke(cli, [*argv, "--state", str(self.folder)])

    def refused(self, *argv: str) -> str:
        """The line on stderr; nothing was printed or stored."""
        before = self.state
        result = self.fs(*argv)
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        assert self.state == before
        (line,) = result.stderr.splitlines()
        return line


class Controller:
    """In the place of `Client`: takes intents as a controller would, into the same state."""

    served: Served

    def __init__(self, folder: Path) -> None:
        assert folder == self.served.folder

    def status(self) -> Status:
        return describe(self.served.state, controller="", url="", ledger=(), events=(), ceilings={})

    def is_ready(self) -> bool:
        return True

    def intend(self, fact: Intent) -> bool:
        self.served.hear(fact)
        return True
