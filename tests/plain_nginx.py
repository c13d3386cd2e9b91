"""A load balancer without keys, as a third party might write it: nginx, going by the tenant header alone.

It stands for a Gateway where there is no cluster: it gives a request to a deployment by the tenant's weights, and says
which it was.
"""

import re
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import anyio
import httpx
from pydantic import BaseModel

from finsight_serve.env import Env, ProcessId
from finsight_serve.plugin import (
    REFUSED,
    ApplyError,
    Artefact,
    Feature,
    LoadBalancer,
    Observed,
    Plan,
    Problem,
    Request,
    RouteTable,
    hookimpl,
)
from finsight_serve.testing.waiting import wait_for
from finsight_serve_nginx import binary, family

CONF = "nginx.conf"
EDGES = (Feature.KEYS, Feature.LIMITS, Feature.LEDGER, Feature.OPEN_STREAMS, Feature.SHADOW, Feature.SHEDDING)

HEAD = """\
# {version}
daemon off;
worker_processes 1;
pid nginx.pid;
events {{ }}
http {{
    access_log off;
    keepalive_min_timeout 10s;
    map $http_x_session_id $session {{ "" $request_id; default $http_x_session_id; }}
    map "g:$deployment" $group {{ default ""; {groups} }}
    map "t:$http_x_finsight_tenant" $deployment {{ default ""; {tenants} }}
"""
SERVER = """\
    server {{
        listen {listen};
        location = /version {{ return 200 {version}; }}
        location / {{
            if ($deployment = "") {{ return 404; }}
            add_header X-Finsight-Deployment $deployment always;
            if ($group = "") {{ return 503; }}
            proxy_pass http://$group;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            client_max_body_size 8m;
        }}
    }}
}}
"""


class Options(BaseModel):
    listen: str


class PlainNginx:
    name: ClassVar[str] = "plain-nginx"
    Options: ClassVar[type[BaseModel]] = Options
    lacks: ClassVar[Mapping[Feature, str]] = dict.fromkeys(
        (*EDGES, Feature.SPARES), "it goes by the tenant header alone"
    )
    on_this_machine = True

    def __init__(self, options: Options, env: Env) -> None:
        self._options, self._env = options, env
        self.url = f"http://{options.listen}"
        self._started: ProcessId | None = None

    def check(self) -> Sequence[Problem]:
        return binary.problems(None)

    def compile(self, want: RouteTable) -> Plan:
        if not want.routes:
            return Plan(())
        body = _render(want, self._options.listen, "VERSION")
        version = sha256(body.encode()).hexdigest()[:16]
        return Plan((Artefact(CONF, _render(want, self._options.listen, version)),))

    async def apply(self, plan: Plan) -> None:
        await wait_for(lambda: not self._is_coming_up())
        running = family.find(self._env.state_dir)
        if not plan.artefacts:
            await self._stop(running)
            return
        self._env.state_dir.mkdir(parents=True, exist_ok=True)
        (artefact,) = plan.artefacts
        draft = self._file.with_suffix(".new")
        draft.write_text(artefact.body)
        draft.replace(self._file)
        if running.master is None:
            program = binary.find(None)
            script = 'cd "$1" && exec "$2" -p "$1" -e error.log -c nginx.conf'
            argv = ["sh", "-c", script, "sh", str(self._env.state_dir), str(program)]
            self._started = self._env.processes.start(argv, log=self._env.state_dir / "nginx.log")
        else:
            family.tell(running.master, signal.SIGHUP)
        old = family.accepting(running.pids)
        try:
            await wait_for(lambda: self._taken_up(artefact.body.split()[1], old))
        except AssertionError as error:
            raise ApplyError(f"nginx does not take up its configuration: {error}") from error

    async def observe(self) -> AsyncIterator[Observed]:
        previous: Observed | None = None
        while True:
            runs = family.find(self._env.state_dir).master is not None
            seen = Observed(in_force=(Artefact(CONF, self._file.read_text()),) if runs else ())
            if seen != previous:
                yield seen
            previous = seen
            await self._env.clock.sleep(0.2)

    async def requests(self, after: str) -> AsyncIterator[Request]:
        await anyio.sleep_forever()
        yield  # type: ignore[misc]

    @property
    def _file(self) -> Path:
        return self._env.state_dir / CONF

    def _is_coming_up(self) -> bool:
        """A signal would end it until it has read its configuration."""
        alive = self._started is not None and self._env.processes.alive(self._started)
        return alive and not family.accepting(family.find(self._env.state_dir).pids)

    async def _taken_up(self, version: str, old: frozenset[int]) -> bool:
        async with self._env.http() as http:
            try:
                answer = await http.get(f"{self.url}/version")
            except httpx.HTTPError:
                return False
        return answer.text == version and not family.accepting(old)

    async def _stop(self, running: family.Family) -> None:
        if running.master is not None:
            family.tell(running.master, signal.SIGQUIT)
        await wait_for(lambda: not family.find(self._env.state_dir).members)
        for member in running.members:
            self._env.processes.alive(member)  # reaps our own child


def _render(table: RouteTable, listen: str, version: str) -> str:
    addresses: dict[str, list[str]] = {}
    for replica in table.replicas:
        addresses.setdefault(replica.deployment, []).append(replica.address)
    tenants, splits, upstreams = [], [], []
    for number, route in enumerate(table.routes):
        shares = [(name, percent) for name, percent in route.weights.items() if percent and name != REFUSED]
        if shares:
            parts = [f'{percent}% "{name}";' for name, percent in shares[:-1]] + [f'* "{shares[-1][0]}";']
            splits.append(f"    split_clients $session $split_{number} {{ {' '.join(parts)} }}\n")
            tenants.append(f'"t:{route.tenant}" $split_{number};')
    for name, found in addresses.items():
        servers = " ".join(f"server {address};" for address in found)
        upstreams.append(f"    upstream {_group(name)} {{ zone {_group(name)} 64k; {servers} keepalive 16; }}\n")
    groups = " ".join(f'"g:{name}" {_group(name)};' for name in addresses)
    head = HEAD.format(version=version, groups=groups, tenants=" ".join(tenants))
    return head + "".join((*splits, *upstreams)) + SERVER.format(listen=listen, version=version)


def _group(deployment: str) -> str:
    return f"to-{re.sub('[^a-z0-9-]', '_', deployment)}"


@hookimpl
def load_balancer() -> type[LoadBalancer]:
    return PlainNginx
