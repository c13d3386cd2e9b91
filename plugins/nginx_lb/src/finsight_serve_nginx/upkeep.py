"""What has to be done about once a second while nginx runs: bound the ledger, heal counts, reload certificates."""

from collections.abc import Collection

import anyio
import anyio.to_thread

from finsight_serve.env import Env
from finsight_serve.plugin import ApplyError

from .configurations import Configurations
from .control import Control, ControlError, Open
from .ledger import Ledger, unknown
from .processes import Processes
from .server import Server

CLOCK_TICK_S = 2.0
"""Slack for a process's start time, which the system rounds."""


class Upkeep:
    """One per plugin instance; observe() and requests() both call `tend`, whichever runs."""

    def __init__(self, env: Env, control: Control, ledger: Ledger, server: Server) -> None:
        self._env = env
        self._control, self._ledger, self._server = control, ledger, server
        self._configurations = Configurations(env.state_dir)
        self._tending = anyio.Lock()
        self._tended_s = float("-inf")
        self._end_of_ledger = ""  # before `open` was read: what ended since is logged behind it
        self.open: tuple[Open, ...] = ()
        """Requests that were under way when nginx last said so."""
        self.is_current = False
        self._refused_certificate = ""
        self._complaint = ""

    async def tend(self, *, every_s: float = 0.9) -> None:
        async with self._tending:
            if self._env.clock.now() - self._tended_s < every_s:
                return
            try:
                await self._tend()
                self.is_current = True
            except ControlError:
                self.is_current = False
                await self._settle_the_lost()
            except OSError as error:  # a full disk, say: traffic and observing go on, healing waits
                self._complain(f"nginx's ledger {self._ledger.current}: {error.strerror or error}")
            self._tended_s = self._env.clock.now()

    async def _tend(self) -> None:
        self._end_of_ledger, self.open = self._ledger.end(), await self._control.open()
        if self._ledger.rotate():
            self._server.reopen_ledger()
        if suspects := _orphans(self.open, self._server.processes):
            # a worker that ended in good order meanwhile has taken its entries out
            self.open = await self._control.open()
            orphans = [entry for entry in self.open if entry in suspects]
            self._ledger.append(map(unknown, orphans))  # first: dying in between leaves a double row, not a missing one
            await self._control.sweep([entry.id for entry in orphans])
            self.open = tuple(entry for entry in self.open if entry not in orphans)
        await self._follow_certificate()

    async def _settle_the_lost(self) -> None:
        """Once no process of ours is left, the requests last seen open and not in the ledger end as unknown."""
        if not self.open or self._server.processes.find().members:
            return
        position = self._end_of_ledger
        logged: set[str] = set()
        while True:
            found, position = await anyio.to_thread.run_sync(self._ledger.read, position, self._env.clock.now())
            if not found:
                break
            logged.update(request.id for request in found)
        self._ledger.append(unknown(entry) for entry in self.open if entry.id not in logged)
        self.open = ()

    async def _follow_certificate(self) -> None:
        seen = self._server.certificate()
        if seen in ("", self._server.loaded_certificate(), self._refused_certificate):
            return
        try:
            await self._server.test(self._configurations.current)
        except ApplyError as error:
            self._refused_certificate = seen
            self._complain(f"the changed certificate is not used: {error}")
            return
        self._server.reload()

    def _complain(self, what: str) -> None:
        """Once, not every second."""
        if what != self._complaint:
            self._env.progress(what)
        self._complaint = what


def _orphans(entries: Collection[Open], processes: Processes) -> list[Open]:
    """Requests of workers that are gone, or whose pid belongs to a later process."""
    started = {pid: processes.started_s(pid) for pid in {entry.pid for entry in entries}}
    return [
        entry for entry in entries if (began := started[entry.pid]) is None or began > entry.started_s + CLOCK_TICK_S
    ]
