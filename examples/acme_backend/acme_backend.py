"""A whole backend on one screen: an engine process per replica, remembered as one small file each."""

import hashlib
import json
import secrets
import socket
from dataclasses import fields
from typing import ClassVar

import httpx
from pydantic import BaseModel, ConfigDict, Field

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.env import ProcessId
from finsight_serve.plugin import ApplyError, Artefact, Feature, Grade, Observed, Plan, Replica, hookimpl


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    grace_s: float = Field(default=10, ge=0, description="Seconds that a replica gets to finish its open requests.")


class AcmeOrchestrator:
    name, Options, on_this_machine = "acme", Options, True
    lacks: ClassVar = {
        Feature.SCALING: "it runs min_replicas processes, whatever the load",
        Feature.GPUS: "its processes share the GPUs of the machine",
    }

    def __init__(self, options, env):
        self.options, self.env, self.folder, self.was_ready = options, env, env.state_dir / "replicas", set()

    def check(self):
        return ()

    def compile(self, want):
        artefacts = []
        for spec in want:
            body = {"replicas": spec.policy.min_replicas, "argv": list(spec.launch.argv), "evict": sorted(spec.evict)}
            artefacts += [Artefact(spec.name, body), Artefact(f"{spec.name}/env", dict(spec.launch.env), secret=True)]
        ignored = Grade("impossible", "a fixed number of processes")
        grades = {(spec.name, field.name): ignored for spec in want for field in fields(AutoscalingPolicy)}
        return Plan(tuple(artefacts), {**grades, **{(spec.name, "min_replicas"): Grade("exact") for spec in want}})

    async def apply(self, plan):
        bodies = {artefact.name: artefact.body for artefact in plan.artefacts}
        missing = {name: body["replicas"] for name, body in bodies.items() if not name.endswith("/env")}
        for path, record, process in self.records():
            name = record["deployment"]
            stays = missing.get(name) and record["digest"] == digest(bodies, name) and self.env.processes.alive(process)
            if stays and path.stem not in bodies[name]["evict"]:
                missing[name] -= 1
            else:
                await self.env.processes.stop(process, grace_s=self.options.grace_s)
                path.unlink()
        for name, count in missing.items():
            for _ in range(count):
                self.start(name, bodies[name]["argv"], bodies[f"{name}/env"], digest(bodies, name))

    def start(self, name, argv, env, digest):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        id = f"{name}-{secrets.token_hex(4)}"
        argv = [part.replace("{host}", "127.0.0.1").replace("{port}", str(port)) for part in argv]
        try:
            process = self.env.processes.start(argv, env=env, log=self.env.state_dir / "logs" / f"{id}.log")
        except OSError as error:
            raise ApplyError(f"deployment {name!r} can't be started: {error}") from error
        record = {"deployment": name, "port": port, "digest": digest, "process": [process.pid, process.started_s]}
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{id}.json").write_text(json.dumps(record))

    async def observe(self):
        last = None
        async with self.env.http() as http:
            while True:
                seen = Observed(tuple([await self.look(http, *known) for known in self.records()]))
                if seen != last:
                    yield seen
                last = seen
                await self.env.clock.sleep(0.2)

    async def look(self, http, path, record, process):
        id, address = path.stem, f"127.0.0.1:{record['port']}"
        if not self.env.processes.alive(process):
            log = (self.env.state_dir / "logs" / f"{id}.log").read_text(errors="replace")
            return Replica(id, record["deployment"], "", "failed", log[-2000:])
        if id not in self.was_ready and await answers(http, f"http://{address}/health"):
            self.was_ready.add(id)  # from now on its health is the probe's business
        return Replica(id, record["deployment"], address, "ready" if id in self.was_ready else "starting")

    def records(self):
        records = [(path, json.loads(path.read_text())) for path in sorted(self.folder.glob("*.json"))]
        return [(path, record, ProcessId(*record["process"])) for path, record in records]


def digest(bodies, name):
    return hashlib.sha256(json.dumps([bodies[name]["argv"], bodies[f"{name}/env"]]).encode()).hexdigest()


async def answers(http, url):
    try:
        return (await http.get(url, timeout=2)).status_code == 200
    except httpx.HTTPError:
        return False


@hookimpl
def orchestrator():
    return AcmeOrchestrator
