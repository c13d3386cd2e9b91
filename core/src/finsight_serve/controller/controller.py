"""The tasks around the reducer. Only `_decide` changes the state, and it commits before anything acts on it."""

import math
import os
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
from starlette.applications import Starlette

from ..domain import Event
from ..env import Clock
from ..errors import one_line
from ..plugin import Ceiling, Feature, HealthProbe, LoadBalancer, Orchestrator, Plan
from ..store import Ledger, Store, StoreError
from .actuator import ActuatorTasks
from .api import build_api, serve, serve_api
from .backoff import backoff_s
from .clock import set_back_by, time_at
from .facts import Fact, Intent, Measured, NotApplied, RoutesSeen, StopAsked, TimePassed
from .measuring import measure
from .memory import documents, recall
from .metrics.app import metrics_routes
from .metrics.exposition import Exposition
from .metrics.families import Failures
from .probing import Prober
from .reduce import Step, reduce
from .routing import route_table
from .shadowing import Shadower
from .state import LOAD_BALANCER, State
from .status import Status, describe, what_is_awaited
from .tailing import copy_requests
from .targets import is_anything_due, shadow_pairs, targets_of
from .want import Wants, all_deployments_are_ready, is_stopped, want
from .wire import socket_path

MOST_SCRAPES = 32  # at a time, those that only hold a connection open included
SHADOW_SOCKET_NAME = "shadow.sock"
CLOCK_PERIOD_S = 1.0  # looking costs microseconds, and a clock may be set or a machine sleep
WAITING_LINE_PERIOD_S = 10.0
START_PATIENCE_S = 120.0  # with a want that can't be applied, before a first start is given up
LEDGER_SHOWN_S = 24 * 3600.0  # by `fs status`
LEDGER_IS_OLD_S = 5.0  # many times as long as the log takes into the ledger, and far less than a breaker's window


@dataclass(frozen=True)
class Parts:
    """The plugins of one stack, built."""

    orchestrators: Mapping[str, Orchestrator]  # backend → instance; what left the stack and is to be emptied, too
    load_balancer: LoadBalancer
    probe: HealthProbe


@dataclass(frozen=True)
class Hooks:
    before_apply: Callable[[str, Plan], str | None]
    on_event: Callable[[Event], None]


@dataclass
class Decided:
    """What became of an intent, for who waits for it."""

    event: anyio.Event = field(default_factory=anyio.Event)
    refused: str = ""


def ceilings_of(orchestrators: Mapping[str, object]) -> Mapping[str, Ceiling]:
    """By backend, of plugins or their classes; most say none."""
    found = {name: getattr(one, "ceiling", None) for name, one in orchestrators.items()}
    return {name: ceiling for name, ceiling in found.items() if ceiling is not None}


class Controller:
    """Runs until it is told to stop. `failed` says why the first start came to nothing, if it did."""

    def __init__(
        self,
        folder: Path,
        parts: Parts,
        hooks: Hooks,
        *,
        store: Store,
        ledger: Ledger,
        clock: Clock,
        http: httpx.AsyncClient,
        metrics_listener: socket.socket | None = None,
        on_ready: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.failed: str | None = None
        self._folder, self._parts, self._hooks = folder, parts, hooks
        self._store, self._ledger, self._clock, self._on_ready, self._say = store, ledger, clock, on_ready, say
        self._state = replace(recall(store), shadow_socket=str(folder / SHADOW_SOCKET_NAME))
        # unbounded, since the reducer is a sender too; the others send about one fact a second each
        self._send, self._facts = anyio.create_memory_object_stream[Fact](math.inf)
        self._edge = self._tasks_for(LOAD_BALANCER, parts.load_balancer)
        self._backends = {name: self._tasks_for(name, one) for name, one in parts.orchestrators.items()}
        self._metrics_listener, self._failures = metrics_listener, Failures()
        self._exposition = Exposition(lambda: self._state, ledger, self._failures)
        self._prober = Prober(parts.probe, http, self._send.send, clock, say)
        self._shadower = Shadower(http, clock, say)
        self._http = http
        self._awaited: dict[int, Decided] = {}
        self._was_ready = False
        self._failing_since_s: float | None = None
        self._ledger_current_s = -math.inf  # when it last held all that the load balancer's log has shown
        self._unmeasured = ""  # why nothing can be measured, so that it is told once

    def _tasks_for(self, name: str, actuator: Any) -> ActuatorTasks:
        return ActuatorTasks(name, actuator, self._send.send, self._hooks.before_apply, self._clock)

    async def run(self, first: tuple[Fact, ...]) -> None:
        """Takes `first` as its first facts. Returns once stopped; SIGTERM leaves everything running."""
        async with anyio.create_task_group() as tasks:
            for fact in (*self._passed_numbers(), *first):
                await self._decide(fact)
            tasks.start_soon(self._edge.run)
            for backend in self._backends.values():
                tasks.start_soon(backend.run)
            tasks.start_soon(self._prober.run)
            tasks.start_soon(self._tail_ledger)
            tasks.start_soon(self._tell_the_time)
            tasks.start_soon(self._shadower.run, Path(self._state.shadow_socket))
            tasks.start_soon(self._say_what_is_awaited)
            tasks.start_soon(self._hear_signals, tasks.cancel_scope)
            metrics = metrics_routes(self._exposition, lambda: self._prober.targets, self._http)
            app = build_api(self.status, lambda: self.is_ready, self._is_settled, self._intend, metrics)
            tasks.start_soon(serve_api, app, socket_path(self._folder))
            if self._metrics_listener is not None:
                alone = Starlette(routes=metrics)
                tasks.start_soon(partial(serve, alone, self._metrics_listener, limit_concurrency=MOST_SCRAPES))
            async for fact in self._facts:
                refused = await self._decide(fact)
                if decided := self._awaited.pop(id(fact), None):
                    decided.refused = refused
                    decided.event.set()
                if is_stopped(self._state):
                    break
            tasks.cancel_scope.cancel()
        socket_path(self._folder).unlink(missing_ok=True)
        if self._state.stopping is not None and not is_stopped(self._state):
            self.failed = self.failed or "interrupted before everything was down; `fs down` goes on with it"

    async def _intend(self, fact: Intent) -> str:
        """Returns once it is stored and acted on: what is lost in between was never said to be taken.

        Why it was refused, or "".
        """
        self._awaited[id(fact)] = decided = Decided()
        await self._send.send(fact)
        await decided.event.wait()
        return decided.refused

    @property
    def is_ready(self) -> bool:
        """Every deployment has a ready replica, and the load balancer routes to them."""
        stack = self._state.durable.stack
        return (
            stack is not None
            and self._state.stopping is None
            and all_deployments_are_ready(self._state, stack)
            and self._edge.in_force == (self._state.table or route_table(self._state))
        )

    def _is_settled(self) -> bool:
        wants = want(self._state)
        return all(self._backends[name].in_force == specs for name, specs in wants.backends.items()) and (
            wants.routes is None or self._edge.in_force == wants.routes
        )

    async def _tell_the_time(self) -> None:
        """What comes by time alone, and what the ledger says; everything else that happens is a fact of its own."""
        while True:
            await self._clock.sleep(CLOCK_PERIOD_S)
            for fact in self._passed_numbers():
                await self._send.send(fact)
            state, clock_s = self._state, self._clock.now()
            if set_back_by(state, clock_s):  # what is measured goes by moments that must be shifted first
                await self._send.send(TimePassed())
                continue
            measured = await self._measure(state, clock_s)  # rows bear the clock's time
            if (measured.deployments, measured.migrations, measured.shadows) != (
                state.measured,
                state.migration_figures,
                state.shadow_reports,
            ):
                await self._send.send(measured)
            elif is_anything_due(state, time_at(state, clock_s)):
                await self._send.send(TimePassed())

    def _passed_numbers(self) -> tuple[RoutesSeen, ...]:
        """What the ledger knows of later route tables than the state does: that was put back to an earlier one."""
        try:
            newest = self._ledger.newest_version()
        except StoreError:
            return ()
        return (RoutesSeen(newest),) if newest > self._state.durable.route_version else ()

    async def _measure(self, state: State, now_s: float) -> Measured:
        """What can't be read now, or was read too long ago, is not known: whoever needs it holds.

        Whatever goes wrong here, the requests go on, so the controller must, too.
        """
        shadows = self._shadower.reports()
        nothing = Measured({}, {}, shadows)
        has_ledger = Feature.LEDGER not in self._parts.load_balancer.lacks
        if has_ledger and abs(self._clock.now() - self._ledger_current_s) > LEDGER_IS_OLD_S:
            return nothing
        try:
            measured = await anyio.to_thread.run_sync(measure, self._ledger, state, shadows, now_s)
        except Exception as error:
            if (reason := one_line(error)) != self._unmeasured:
                self._unmeasured = reason
                self._hooks.on_event(Event(self._clock.now(), "ledger_behind", "ledger", f"not measured: {reason}"))
            return nothing
        self._unmeasured = ""
        return measured

    def _note_ledger_is_current(self) -> None:
        self._ledger_current_s = self._clock.now()

    def status(self) -> Status:
        """Reads the databases, so it belongs on a thread where the event loop runs."""
        return describe(
            self._state,
            controller=f"running, pid {os.getpid()}",
            url=self._parts.load_balancer.url,
            ledger=self._ledger.totals(since_s=self._clock.now() - LEDGER_SHOWN_S),
            events=self._store.events(last=50),
            ceilings=ceilings_of(self._parts.orchestrators),
        )

    async def _decide(self, fact: Fact) -> str:
        """Why it was refused, or ""."""
        if isinstance(fact, NotApplied):
            self._failures.apply[fact.backend] += 1
        step = reduce(self._state, fact, self._clock.now())
        await self._commit(step)
        self._state = step.state
        for event in step.events:
            self._hooks.on_event(event)
        self._publish(want(self._state))
        await self._watch_the_start(fact)
        return step.refused

    async def _commit(self, step: Step) -> None:
        """What can't be stored must not be acted on: it waits here, and traffic goes on as it is."""
        if step.state.durable == self._state.durable and not step.events:
            return
        attempt = 0
        while True:
            try:
                await self._store.commit(documents(step.state), step.events, step.audit)
                return
            except StoreError as error:
                attempt += 1
                self._failures.store += 1
                if attempt == 1:
                    self._hooks.on_event(Event(self._clock.now(), "store_failed", "state", str(error)))
                await self._clock.sleep(backoff_s(attempt))

    def _publish(self, wants: Wants) -> None:
        for name, specs in wants.backends.items():
            self._backends[name].order(specs)
        if wants.routes is not None:
            self._edge.order(wants.routes)
        if self._state.durable.stack is None:
            return
        self._prober.period_s = self._state.durable.stack.health.period_s
        targets = () if self._state.stopping else targets_of(self._state)
        self._prober.targets = targets
        self._shadower.pairs = shadow_pairs(self._state, targets)

    async def _watch_the_start(self, fact: Fact) -> None:
        if not self._was_ready and self.is_ready:
            self._was_ready = True
            self._on_ready()
        if self._was_ready or self._state.durable.serving or self._state.stopping or self.failed:
            return
        # the very first start: better to say why than to try for ever
        if isinstance(fact, NotApplied) and fact.lasting:
            self.failed = _why_not_set_up(fact.backend, fact.reason)
            await self._send.send(StopAsked(keep=self._untouched() & {fact.backend}))
        elif (reason := self._why_it_does_not_start()) is not None:
            self.failed = reason
            await self._send.send(StopAsked(keep=frozenset()))

    def _untouched(self) -> frozenset[str]:
        """Backends elsewhere on which nothing was put in force yet: what runs there is of before this start."""
        return frozenset(
            name
            for name, backend in self._backends.items()
            if backend.in_force is None and not backend.actuator.on_this_machine
        )

    def _why_it_does_not_start(self) -> str | None:
        stack = self._state.durable.stack
        for backend in stack.backends if stack else ():
            seen = self._state.observed.get(backend)
            broken = [r for r in seen.replicas if r.state == "failed"] if seen else []
            if broken:
                name, lines = broken[0].deployment, broken[0].reason.splitlines()
                last = lines[-1].strip() if lines else "it ended without a word"
                return f"deployment {name} does not start: {last} (`fs logs` shows more)"
        if not self._state.failing:
            self._failing_since_s = None
            return None
        now_s = self._clock.now()
        self._failing_since_s = self._failing_since_s or now_s
        if now_s - self._failing_since_s < START_PATIENCE_S:
            return None
        backend, reason = next(iter(self._state.failing.items()))
        return _why_not_set_up(backend, reason)

    async def _say_what_is_awaited(self) -> None:
        """Loading a model takes minutes: nobody should wonder whether anything happens."""
        began_s = self._clock.now()
        while not self._was_ready:
            await self._clock.sleep(WAITING_LINE_PERIOD_S)
            if not self._was_ready and self._state.stopping is None:
                waited_s = self._clock.now() - began_s
                status = await anyio.to_thread.run_sync(self.status)
                self._say(f"waiting for {'; '.join(what_is_awaited(status))} ({waited_s:.0f} s)")

    async def _tail_ledger(self) -> None:
        attempt = 0
        while True:
            try:
                await copy_requests(self._parts.load_balancer, self._ledger, self._clock, self._note_ledger_is_current)
                attempt = 0
            except Exception as error:
                attempt += 1
                self._hooks.on_event(Event(self._clock.now(), "ledger_behind", "ledger", one_line(error)))
            await self._clock.sleep(backoff_s(max(1, attempt)))

    async def _hear_signals(self, scope: anyio.CancelScope) -> None:
        """SIGINT stops what was started on this machine; SIGTERM and SIGHUP only end the controller."""
        asked = False
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async for number in signals:
                if number != signal.SIGINT or asked:  # a second Ctrl-C waits for nothing any more
                    scope.cancel()
                    return
                asked = True
                keep = {name for name, one in self._parts.orchestrators.items() if not one.on_this_machine}
                await self._send.send(StopAsked(keep=frozenset(keep)))


def _why_not_set_up(backend: str, reason: str) -> str:
    return f"{backend or 'the load balancer'} can't be set up: {reason}"
