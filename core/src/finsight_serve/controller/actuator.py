"""One backend's (or the load balancer's) pair of tasks: watch it, and make the latest want real.

The inbox holds one want: a newer one replaces it. So a hung API server delays its own backend only.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from ..env import Clock
from ..errors import one_line
from ..plugin import Actuator, ApplyError, Observed, Plan
from .backoff import backoff_s
from .facts import Applied, Fact, NotApplied, Seen, Unseen

Report = Callable[[Fact], Awaitable[None]]
Veto = Callable[[str, Plan], str | None]

APPLY_DEADLINE_S = 300.0
MEND_PERIOD_S = 1.0
SETTLE_S = 3.0  # the last snapshot may be of before the apply; a newer one comes within this


class ActuatorTasks:
    """`order()` takes the want; `in_force` is the one that was applied last (None: none yet)."""

    def __init__(self, backend: str, actuator: Actuator[Any], report: Report, veto: Veto, clock: Clock) -> None:
        self.backend = backend
        self.actuator = actuator
        self.in_force: Any = None
        self._report, self._veto, self._clock = report, veto, clock
        self._wanted: Any = None
        self._news = anyio.Event()
        self._applying: anyio.CancelScope | None = None
        self._plan: Plan | None = None
        self._seen: Observed | None = None
        self._repairs = 0
        self._repair_at_s = 0.0

    def order(self, want: Any) -> None:
        if want == self._wanted:
            return
        self._wanted = want
        self._news.set()
        if not _has_content(want) and self._applying is not None:
            self._applying.cancel()  # stopping does not wait for a start that may never end

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._observe)
            tasks.start_soon(self._apply)
            tasks.start_soon(self._mend)

    async def _observe(self) -> None:
        attempt = 0
        while True:
            reason = "its observation ended"
            try:
                async for seen in self.actuator.observe():
                    attempt = 0
                    self._seen = seen
                    await self._report(Seen(self.backend, seen))
            except Exception as error:  # a plugin may raise anything; the others go on
                reason = one_line(error)
            attempt += 1
            await self._report(Unseen(self.backend, reason))
            await self._clock.sleep(backoff_s(attempt))

    async def _mend(self) -> None:
        """A snapshot comes only after a change, and a repair may have to wait its turn: so the last one is kept."""
        while True:
            await self._clock.sleep(MEND_PERIOD_S)
            if self._seen is not None:
                self._repair(self._seen)

    def _repair(self, seen: Observed) -> None:
        """What was applied and is gone, or has failed, is applied again; what merely differs is drift, and is shown."""
        if self._plan is None or self.in_force is None or not _has_content(self.in_force):
            return
        wanted = {artefact.name for artefact in self._plan.artefacts}
        found = wanted if seen.in_force is None else {artefact.name for artefact in seen.in_force}
        if wanted <= found and not any(replica.state == "failed" for replica in seen.replicas):
            if self._clock.now() > self._repair_at_s + 60:
                self._repairs = 0
            return
        if self._clock.now() >= self._repair_at_s:
            self._repairs += 1
            self._repair_at_s = self._clock.now() + backoff_s(self._repairs, first_s=1.0, most_s=60.0)
            self.in_force = None
            self._news.set()

    async def _apply(self) -> None:
        attempt = 0
        while True:
            await self._news.wait()
            # what was in force is applied again where another want came to nothing: that may have been half done
            while self._news.is_set() or attempt or (self._wanted is not None and self._wanted != self.in_force):
                self._news = anyio.Event()  # what is read next is the newest want
                want = self._wanted
                if want is None or (want == self.in_force and not attempt):
                    continue
                failed = await self._try(want)
                if failed is None:
                    attempt, self.in_force = 0, want
                    self._repair_at_s = max(self._repair_at_s, self._clock.now() + SETTLE_S)
                    version = getattr(want, "version", None)  # of a route table
                    await self._report(Applied(self.backend, emptied=not _has_content(want), route_version=version))
                    continue
                attempt += 1
                await self._report(failed)
                with anyio.move_on_after(backoff_s(attempt)):
                    await self._news.wait()

    async def _try(self, want: Any) -> NotApplied | None:
        """None, or why it could not be applied."""
        try:
            plan = self.actuator.compile(want)
            if vetoed := self._veto(self.backend, plan):
                return NotApplied(self.backend, f"vetoed: {vetoed}")
            self._plan = plan
            with anyio.move_on_after(APPLY_DEADLINE_S) as self._applying:
                await self.actuator.apply(plan)
                return None
            late = "a newer want came first" if self._wanted != want else f"not done within {APPLY_DEADLINE_S:g} s"
            return NotApplied(self.backend, late)
        except ApplyError as error:
            return NotApplied(self.backend, str(error), error.lasting)
        except Exception as error:
            return NotApplied(self.backend, one_line(error))
        finally:
            self._applying = None


def _has_content(want: Any) -> bool:
    """Both kinds of want, a tuple of deployments and a route table, are empty when nothing is to run."""
    return bool(getattr(want, "routes", want))
