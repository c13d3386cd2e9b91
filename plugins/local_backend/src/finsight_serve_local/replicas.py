"""The processes behind the records: what they are like, starting one, stopping one."""

import secrets
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio
import httpx

from finsight_serve.env import Env
from finsight_serve.plugin import ApplyError, Replica

from .decision import Start
from .manifest import Wanted
from .marks import REPLICA_ENV
from .options import LocalOptions
from .ports import HOST, describe_holder, find_free_port, is_free
from .record import Record, Records

HEALTH_TIMEOUT_S = 2.0
REASON_LINES = 20
KEPT_LOGS = 50


class Replicas:
    def __init__(self, options: LocalOptions, env: Env) -> None:
        self.records = Records(env.state_dir / "replicas")
        self._options = options
        self._env = env
        self._logs = env.state_dir / "logs"

    def is_alive(self, record: Record) -> bool:
        return record.process is not None and self._env.processes.alive(record.process)

    def describe(self, record: Record) -> Replica:
        address = f"{HOST}:{record.port}"
        if record.draining:  # one that was told to go and has gone is no failure
            return Replica(record.id, record.deployment, address, "draining")
        if not self.is_alive(record):
            return Replica(record.id, record.deployment, "", "failed", self.read_reason(record.id))
        if record.ready:
            return Replica(record.id, record.deployment, address, "ready")
        return Replica(record.id, record.deployment, "", "starting")

    def start(self, wanted: Wanted, start: Start) -> str:
        """The new replica's id. Raises `ApplyError` where its port is taken, `OSError` where it can't be run."""
        if start.port is not None and not is_free(start.port):
            raise ApplyError(f"port {start.port} is in use by {describe_holder(start.port)}")
        port = start.port or find_free_port({record.port for record in self.records.read()})
        id = f"{wanted.deployment}-{secrets.token_hex(4)}"
        record = Record(id, wanted.deployment, port, wanted.digest, self._env.clock.now(), start.attempt)
        argv = [part.replace("{host}", HOST).replace("{port}", str(port)) for part in wanted.argv]
        with self.records.intent(record):
            env = {**(wanted.env or {}), REPLICA_ENV: id}
            process = self._env.processes.start(argv, env=env, log=self._log(id))
        self.records.write(replace(record, process=process))
        return id

    async def stop(self, record: Record, *, others_serve: bool) -> None:
        """Returns when the process is gone and its record with it."""
        if record.process:
            if record.ready and others_serve:
                await self._env.clock.sleep(self._options.drain_delay_s)
            await self._env.processes.stop(record.process, grace_s=self._options.drain_timeout_s)
        self.records.remove(record.id)

    async def note_ready(self, http: httpx.AsyncClient) -> None:
        """Marks those that answer. Kept in the record: after a restart the first snapshot must not take them out."""
        async with anyio.create_task_group() as checks:
            for record in self.records.read():
                if not record.ready and not record.draining and self.is_alive(record):
                    checks.start_soon(self._check_ready, http, record)

    def read_reason(self, id: str) -> str:
        """Its last words."""
        try:
            lines = self._log(id).read_text(errors="replace").splitlines()
        except OSError as error:
            return f"its log can't be read: {error}"
        return "\n".join(lines[-REASON_LINES:]) or "it ended without a word"

    def prune_logs(self) -> None:
        """Keeps the logs of what runs and the newest of what does not."""
        known = {record.id for record in self.records.read()}
        logs = sorted(self._logs.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in [path for path in logs if path.stem not in known][KEPT_LOGS:]:
            path.unlink(missing_ok=True)

    async def _check_ready(self, http: httpx.AsyncClient, record: Record) -> None:
        with suppress(httpx.HTTPError):
            response = await http.get(f"http://{HOST}:{record.port}/health", timeout=HEALTH_TIMEOUT_S)
            if response.status_code == 200 and self.is_alive(record):
                self.records.update(record, ready=True)

    def _log(self, id: str) -> Path:
        return self._logs / f"{id}.log"
