"""A state folder, held and opened; and the controller of its stack, run to its end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..domain import Event
from ..env import Clock
from ..errors import UserError
from ..host import Host, env_for
from ..store import Lease, Ledger, Store
from .assembly import Progress, build_parts
from .controller import Controller, Hooks
from .facts import Fact
from .memory import documents, recall
from .metrics.listener import listen
from .reduce import reduce
from .wire import socket_path


@dataclass(frozen=True)
class Held:
    folder: Path
    store: Store
    ledger: Ledger


@contextmanager
def hold(folder: Path) -> Iterator[Held]:
    """Takes the lease and opens what is in the folder, made if it is missing. Raises `UserError`."""
    try:
        socket_path(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with Lease(folder):
            store = Store(folder)
            try:
                ledger = Ledger(folder)
                try:
                    yield Held(folder, store, ledger)
                finally:
                    ledger.close()
            finally:
                store.close()
    except ValueError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        if error.filename is None or not str(error.filename).startswith(str(folder)):
            raise
        what = f"{folder}: the state folder can't be written ({error.strerror})"
        raise UserError(f"{what}; choose another with --state DIR") from error


def record(held: Held, fact: Fact, clock: Clock) -> None:
    """What a controller would do with `fact`, for when none runs. Raises `UserError` if it is refused."""
    step = reduce(recall(held.store), fact, clock.now())
    if step.refused:
        raise UserError(step.refused)
    held.store.write_now(documents(step.state), step.events, step.audit)


async def run_controller(
    held: Held,
    host: Host,
    first: tuple[Fact, ...],
    clock: Clock,
    *,
    say: Progress,
    tell_of: Callable[[Event], None],
    on_ready: Callable[[], None],
) -> str | None:
    """Runs the held stack's controller until it stops. Returns why a first start failed, or None.

    Raises `UserError`, before anything has started, if a plugin can't be built or its metrics' address is taken.
    """
    state = recall(held.store)
    for fact in first:
        state = reduce(state, fact, clock.now()).state
    durable = state.durable
    if durable.stack is None:
        return None

    def tell(line: str) -> None:
        with suppress(OSError):  # a full disk or a closed terminal must not stop the controller
            say(line)

    def greet() -> None:
        with suppress(OSError):
            on_ready()

    events = host.events(tell)

    def on_event(event: Event) -> None:
        with suppress(OSError):
            tell_of(event)
        events.on_event(event)

    env = env_for(held.folder / "controller", owner=held.store.owner(), progress=tell)
    parts = build_parts(durable.stack, durable.retired, host, held.folder, held.store.owner(), tell)
    metrics_listener = listen(durable.stack.metrics.listen) if durable.stack.metrics.listen else None
    async with env.http() as http:
        controller = Controller(
            held.folder,
            parts,
            Hooks(events.before_apply, on_event),
            store=held.store,
            ledger=held.ledger,
            clock=clock,
            http=http,
            metrics_listener=metrics_listener,
            on_ready=greet,
            say=tell,
        )
        await controller.run(first)
    return controller.failed
