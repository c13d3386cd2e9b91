"""The plugin: compiles deployments to Serve applications, puts them by REST, observes their replicas."""

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from typing import Any, ClassVar
from urllib.parse import urlsplit

import tenacity
from packaging.version import Version
from pydantic import BaseModel

from finsight_serve.capabilities import ControllerHost, Scratch
from finsight_serve.domain import Alert, Dashboard, ScrapeJob
from finsight_serve.env import Env, ProcessId
from finsight_serve.plugin import (
    ApplyError,
    Artefact,
    Ceiling,
    DeploymentSpec,
    Feature,
    Launch,
    Observed,
    Plan,
    Problem,
    Replica,
)

from . import application, dashboard, hanging, kuberay, monitoring, ports
from .cluster import ARTEFACT, LocalCluster, render
from .instance import NO_DIRECT_INGRESS, Instance, addresses, replicas, unlisted
from .options import Options as RayOptions
from .rest import Rest, RestError, Unreachable

POLL_S = 0.5
PUT_DEADLINE_S = 30.0  # a GCS that the supervisor starts again is back well before
OBSERVE_GRACE_S = 15.0
HOST = "replica_host"
MEND_HOST = "name one of its own (`ip address` or `ifconfig` lists them), or leave replica_host out"
RAY_SERIES = "2.60"  # `__serve_build_asgi_app__` is only in a docstring, so a newer series is tested first


class RayServe:
    name: ClassVar[str] = "ray"
    Options: ClassVar[type[BaseModel]] = RayOptions
    lacks: ClassVar[Mapping[Feature, str]] = {
        Feature.OPEN_STREAMS: "Ray counts a replica's requests but does not know whose they are",
    }
    ceiling: ClassVar[Ceiling] = Ceiling(50, "one Serve controller process and one head node decide for all replicas")
    alerts: ClassVar[Sequence[Alert]] = monitoring.ALERTS
    forms: ClassVar[Mapping[str, str]] = kuberay.FORMS
    dashboards: ClassVar[Sequence[Dashboard]] = (dashboard.DASHBOARD,)

    def __init__(self, options: RayOptions, env: Env) -> None:
        self.options, self.env = options, env
        self.cluster = LocalCluster(options, env) if options.address is None else None
        self.on_this_machine = self.cluster is not None
        self.listed: tuple[Replica, ...] | None = None  # as last seen
        self.known: dict[str, str] = {}  # replica id → address
        self.launches: dict[str, Launch] = {}  # deployment → how it starts, as compiled last; for exports

    @staticmethod
    def drill_options(scratch: Scratch) -> Mapping[str, Any]:
        return {"health_check_period_s": 1, "health_check_timeout_s": 5, "drain_timeout_s": 20}

    def head(self) -> ProcessId | None:
        """The raylet of the local node: with it go the replicas, and the supervisor starts the node again."""
        return self.cluster.head() if self.cluster is not None else None

    def check(self) -> Sequence[Problem]:
        return [*_ray_problems(), *(self._local_problems() if self.cluster else self._remote_problems())]

    def scrape_jobs(self) -> Sequence[ScrapeJob]:
        rest = self._rest()
        return tuple(monitoring.scrape_jobs(rest.url, rest.token_file))

    def compile(self, want: tuple[DeploymentSpec, ...]) -> Plan:
        ordered = sorted(want, key=lambda spec: spec.name)
        self.launches = {spec.name: spec.launch for spec in ordered}
        cluster = (Artefact(ARTEFACT, render(self.options)),) if self.cluster is not None and want else ()
        bodies = [application.render(spec, self.options, self.env.owner) for spec in ordered]
        return Plan(
            artefacts=(*cluster, *(artefact for body in bodies for artefact in application.split(body))),
            fidelity={(s.name, field): grade for s in ordered for field, grade in application.grade(s.policy).items()},
        )

    def export(self, plan: Plan, form: str, controller: ControllerHost | None) -> Mapping[str, str]:
        """Raises `ApplyError` for what KubeRay has no place for."""
        if controller is not None:
            raise ApplyError(
                f"-o {form} exports what the controller deploys, not the controller: leave out --in-cluster, and let "
                "`fs serve --ray-address` attach to the cluster that KubeRay made"
            )
        return {"": kuberay.render(application.join(plan.artefacts), self.launches, self.options.image)}

    async def apply(self, plan: Plan) -> None:
        want = application.join(plan.artefacts)
        if self.cluster is not None and not want:
            if self.cluster.has_node():
                await self._drain()
            await self.cluster.stop()
            return
        if self.cluster is not None:
            await self.cluster.ensure(self._rest)
        try:
            await self._put(want)
        except RestError as error:
            raise ApplyError(str(error)) from None

    async def observe(self) -> AsyncIterator[Observed]:
        """Raises `RestError` once the control plane has been silent for 15 s: replicas may well serve meanwhile, so
        its silence is never reported as their absence."""
        last: Observed | None = None
        silent_since_s: float | None = None
        while True:
            try:
                current = await self._look()
                silent_since_s = None
            except RestError:
                now_s = self.env.clock.now()
                silent_since_s = silent_since_s or now_s
                if now_s - silent_since_s >= OBSERVE_GRACE_S:
                    self.known.clear()
                    raise
            else:
                if current != last:
                    last = current
                    yield current
            await self.env.clock.sleep(POLL_S)

    async def _look(self) -> Observed:
        if self.cluster is not None and not self.cluster.has_node():
            # a node that is being started again will put its applications in force by itself
            self.known, self.listed = {}, ()
            return Observed(in_force=None if self.cluster.supervised() else ())
        instance = await self._rest().get()
        if self.known and not instance.controller_info:
            raise Unreachable("Serve's controller can't be found")  # which Ray reports as an empty instance
        self.known |= addresses(instance, self.cluster.replica_host if self.cluster else None)
        names = unlisted(instance, self.env.owner, self.known)
        if names and self.listed is None:  # later on, one without an address is new
            raise Unreachable(f"Serve does not list all ports of {', '.join(names)}: {NO_DIRECT_INGRESS}")
        listed = replicas(instance, self.env.owner, self.known, self.cluster.log_tail if self.cluster else _no_log)
        listed += self._unmentioned(instance)
        self.listed = listed
        self.known = {replica.id: replica.address for replica in listed if replica.address}
        owned = sorted(instance.owned(self.env.owner).items())
        cluster = self.cluster.in_force() if self.cluster else None
        applications = [app.deployed_app_config for _, app in owned if app.deployed_app_config is not None]
        return Observed(
            replicas=listed,
            in_force=(
                *((cluster,) if cluster else ()),
                *(artefact for body in applications for artefact in application.split(body)),
            ),
            refs={app.args["deployment"]: f"{self._rest().url}/#/serve/applications/{name}" for name, app in owned},
        )

    def _unmentioned(self, instance: Instance) -> tuple[Replica, ...]:
        """Replicas seen before that serve on, though Serve lists none while it builds or deletes an application."""
        building = {name for name, app in instance.owned(self.env.owner).items() if app.building}
        leaving = {name for name, app in instance.applications.items() if app.deleting}
        if building and self.listed is None:
            raise Unreachable("Serve is importing the application and does not say what serves meanwhile")
        named = [(application.app_name(r.deployment, self.env.owner), r) for r in self.listed or () if r.address]
        return tuple(
            replace(replica, state="draining") if name in leaving else replica
            for name, replica in named
            if name in building | leaving
        )

    async def _put(self, want: list[dict[str, Any]]) -> None:
        """What others have on the cluster is read and put back within milliseconds; Serve has no narrower call."""
        rest = self._rest()
        if self.listed is None:
            with suppress(RestError):
                await self._look()  # what serves now: Serve won't say once it has something new to import
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Unreachable),
            stop=tenacity.stop_after_delay(PUT_DEADLINE_S),
            wait=tenacity.wait_fixed(1.0),
            sleep=self.env.clock.sleep,
            reraise=True,
        ):
            with attempt:
                current = await rest.get()
                telling = await self._spare_the_hanging(current, want)
                if not application.is_in_force(current.applications, telling, self.env.owner):
                    await rest.put(self._envelope(current, telling))

    async def _spare_the_hanging(self, current: Instance, want: list[dict[str, Any]]) -> list[dict[str, Any]]:
        evicted = {id: self.known[id] for id in hanging.told_to_go(want) if id in self.known}
        found = await hanging.find_hanging(evicted, self.env.http)
        if self.cluster is not None:
            hanging.kill(current.pids(found))
        return [hanging.without(body, found) for body in want]

    def _envelope(self, current: Instance, want: list[dict[str, Any]]) -> dict[str, Any]:
        """A `ServeDeploySchema`. Where Serve runs already, its own settings are said again: they can't be changed."""
        local = self.cluster
        host = {"host": local.replica_host, "port": local.proxy_port} if local else {"host": "0.0.0.0"}
        return {
            "proxy_location": current.proxy_location or "HeadOnly",  # "Disabled" would also close the replicas' ports
            "http_options": current.http_options or host,
            "controller_options": {"runtime_env": {"env_vars": dict(application.DIRECT_INGRESS_ENV)}},
            **({} if current.target_capacity is None else {"target_capacity": current.target_capacity}),
            "applications": application.merge(current.applications, want, self.env.owner),
        }

    async def _drain(self) -> None:
        """Removes the applications and waits for open streams, so that ending the node cuts none."""
        try:
            owned = set((await self._rest().get()).owned(self.env.owner))
            self.env.progress("draining replicas")
            await self._put([])
            deadline_s = self.env.clock.now() + self.options.drain_timeout_s
            while self.env.clock.now() < deadline_s:
                if owned.isdisjoint((await self._rest().get()).applications):  # listed until its replicas are gone
                    return
                await self.env.clock.sleep(POLL_S)
        except RestError:
            return  # no control plane, no draining

    def _rest(self) -> Rest:
        if self.cluster is not None:
            return Rest(self.cluster.url, self.cluster.token_file, self.env.http)
        assert self.options.address is not None
        return Rest(self.options.address, self.options.auth_token_file, self.env.http)

    def _local_problems(self) -> list[Problem]:
        assert self.cluster is not None
        if self.cluster.supervised() or self.cluster.has_node():
            return []
        fixed = {"dashboard_port": self.options.dashboard_port, "gcs_port": self.options.gcs_port}
        host = self.options.replica_host
        foreign = () if ports.is_ours(host) else (Problem(f"{host} is no address of this machine", MEND_HOST, HOST),)
        taken = [
            Problem(
                f"port {port} in use by {ports.describe_holder(port)}",
                f"free it, or set {name}: 0 to have one chosen",
                name,
            )
            for name, port in fixed.items()
            if port and not ports.is_free(port)
        ]
        return [*foreign, *taken]

    def _remote_problems(self) -> list[Problem]:
        problems: list[Problem] = []
        url = urlsplit(self.options.address or "")
        try:
            socket.create_connection((url.hostname or "", url.port or 8265), timeout=3).close()
        except OSError as error:
            fix = "start the cluster (`ray start --head --dashboard-host=0.0.0.0`), or correct the address"
            problems.append(Problem(f"no Ray dashboard at {self.options.address}: {error}", fix, "address"))
        token_file = self.options.auth_token_file
        if token_file is not None and not token_file.is_file():
            fix = "write the cluster's token there (`ray get-auth-token`), readable by you alone"
            problems.append(Problem(f"no token file {token_file}", fix, "auth_token_file"))
        return problems


def _ray_problems() -> list[Problem]:
    fix = f"pip install 'ray[serve]=={RAY_SERIES}.*'"
    try:
        version = metadata.version("ray")
    except metadata.PackageNotFoundError:
        return [Problem("ray is not installed", fix)]
    if Version(version).release[:2] != Version(RAY_SERIES).release:
        return [Problem(f"ray {version} is installed, {RAY_SERIES} is needed", fix)]
    return []


def _no_log(worker_id: str) -> str:
    return ""
