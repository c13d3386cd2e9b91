"""The load balancer as the core sees it: compile, apply, observe, and the ledger."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar

import anyio
import anyio.to_thread
from pydantic import BaseModel

from finsight_serve.capabilities import Scratch
from finsight_serve.domain import Alert, Dashboard, ScrapeJob
from finsight_serve.env import Env
from finsight_serve.plugin import ApplyError, Artefact, Feature, Observed, Plan, Problem, Request, RouteTable

from . import binary
from .configurations import Configurations, version_of
from .control import Control
from .dashboard import DASHBOARD
from .ledger import Ledger
from .monitoring import ALERTS
from .options import Options as NginxOptions
from .options import endpoint_url, scrape_target
from .render import decode, render
from .server import Server
from .tls import certificate_ends_s, tls_problems
from .upkeep import Upkeep

POLL_S = 1.0
TAIL_S = 0.2


class NginxLoadBalancer:
    name: ClassVar[str] = "nginx"
    Options: ClassVar[type[BaseModel]] = NginxOptions
    lacks: ClassVar[Mapping[Feature, str]] = {}
    alerts: ClassVar[Sequence[Alert]] = ALERTS
    dashboards: ClassVar[Sequence[Dashboard]] = (DASHBOARD,)
    on_this_machine = True

    def __init__(self, options: NginxOptions, env: Env) -> None:
        self._options, self._env = options, env
        self.url = endpoint_url(options)
        self._configurations = Configurations(env.state_dir)
        self._control = Control(env.state_dir / "control.sock")
        self._ledger = Ledger(env.state_dir / "ledger")
        self._server = Server(options, env, self._control, self._configurations)
        self._upkeep = Upkeep(env, self._control, self._ledger, self._server)
        self._applying = anyio.Lock()

    @staticmethod
    def drill_options(scratch: Scratch) -> Mapping[str, Any]:
        tls = {"tls_certificate": scratch.certificate, "tls_certificate_key": scratch.certificate_key}
        plain = {"listen": scratch.listen, "metrics_listen": scratch.metrics_listen}
        return {**plain, **(tls if scratch.certificate else {})}

    def check(self) -> Sequence[Problem]:
        found = list(binary.problems(self._options.binary))
        found += tls_problems(self._options)
        holders = self._server.port_holders()
        found += [Problem(who, f"stop it, or choose another `{option}`", option) for option, who in holders.items()]
        return found

    def compile(self, want: RouteTable) -> Plan:
        """Without routes nothing runs, so there is no artefact. Raises `ValueError` for a table that makes no sense."""
        return Plan(render(want, self._options) if want.routes else ())

    def scrape_jobs(self) -> Sequence[ScrapeJob]:
        """None for a socket, which Prometheus can't read: whoever put it there has a way to it."""
        target = scrape_target(self._options)
        return (ScrapeJob(self.name, {"static_configs": [{"targets": [target]}]}),) if target else ()

    async def apply(self, plan: Plan) -> None:
        async with self._applying:
            try:
                if plan.artefacts:
                    await self._put_in_force(plan.artefacts)
                else:
                    await self._stop()
            except OSError as error:
                raise ApplyError(f"nginx's folder {self._env.state_dir}: {error.strerror or error}") from error

    async def observe(self) -> AsyncIterator[Observed]:
        previous: Observed | None = None
        while True:
            await self._upkeep.tend()
            snapshot = await self._look()
            if snapshot != previous:
                yield snapshot
            previous = snapshot
            await self._env.clock.sleep(POLL_S)

    async def requests(self, after: str) -> AsyncIterator[Request]:
        while True:
            await self._upkeep.tend()
            found, after = await anyio.to_thread.run_sync(self._ledger.read, after, self._env.clock.now())
            for request in found:
                yield request
            if not found:
                await self._env.clock.sleep(TAIL_S)

    async def _put_in_force(self, artefacts: tuple[Artefact, ...]) -> None:
        version, disk = version_of(artefacts), self._configurations
        if await self._server.version() == version == disk.current and disk.read(version) == artefacts:
            return
        await self._server.test(disk.write(artefacts))
        await self._server.run(version)

    async def _stop(self) -> None:
        await self._upkeep.tend(every_s=0)
        self._configurations.switch("")  # first: whoever keeps nginx would start it again
        await self._server.stop()
        await self._upkeep.tend(every_s=0)

    async def _look(self) -> Observed:
        version = await self._server.version()
        if not version:  # not running, starting or ending: nothing is in force, and open streams can't be counted
            return Observed(in_force=())
        counts = Counter((decode(entry.tenant), decode(entry.deployment)) for entry in self._upkeep.open)
        open_streams = dict(counts) if self._upkeep.is_current else None
        return Observed(
            in_force=self._configurations.read(version),
            open_streams=open_streams,
            certificate_ends_s=certificate_ends_s(self._options.tls_certificate),
        )
