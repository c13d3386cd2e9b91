"""One stack on this machine, run by `fs` as a user runs it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
from openai import OpenAI
from ruamel.yaml import YAML

from finsight_serve.controller.client import Client
from finsight_serve.controller.status import Status
from finsight_serve.testing.real_env import find_free_port

from .load import Load
from .processes import MARK, Family, describe, kill
from .waiting import wait_until

MODEL = "sim-model"
READY_S = 90.0
ENDED_S = 90.0
LAST_BREATH_S = 5.0  # an interpreter takes a moment to end after its work is done


class Serving:
    """An `fs serve` in the foreground."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process, self.log = process, log

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait_ready(self, deadline_s: float = READY_S) -> "Serving":
        def ready() -> bool:
            assert self.process.poll() is None, f"fs serve ended with {self.process.poll()}:\n{self.output}"
            return "  Try  " in self.output

        try:
            wait_until(ready, deadline_s, "fs serve is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}") from None
        return self

    def wait_ended(self, deadline_s: float = ENDED_S) -> int:
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"fs serve did not end within {deadline_s:g} s:\n{self.output}") from None


class Stand:
    """A folder with an fs.yaml and a state folder, short enough for unix sockets; and everything that runs from it."""

    def __init__(self, name: str = "stand") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fs-", dir="/tmp")).resolve()
        self.file, self.state = self.folder / "fs.yaml", self.folder / "s"
        self.port = find_free_port()
        self.family = Family(self.folder)
        self.keys: dict[str, str] = {}
        self.url = f"http://127.0.0.1:{self.port}"
        self.lost: list[str] = []  # backends that are gone for good, so that nothing can be removed there
        self._name = name
        self._serving: list[Serving] = []

    def write(
        self,
        *,
        backend: str = "local",
        replicas: int = 1,
        engine_options: Mapping[str, Any] | None = None,
        balancer: Mapping[str, Any] | None = None,
        **sections: Any,
    ) -> None:
        data = {
            "name": self._name,
            "backend": backend,
            "load_balancer": {"plugin": "nginx", "listen": f"127.0.0.1:{self.port}", **(balancer or {})},
            "health": {"period_s": 1},
            "probe": {"plugin": "one-token", "timeout_s": 2},
            "deployments": [
                {
                    "name": "chat",
                    "model": MODEL,
                    "engine": "sim",
                    "engine_options": dict(engine_options or {}),
                    "policy": {"min_replicas": replicas, "max_replicas": replicas},
                }
            ],
            **sections,
        }
        with self.file.open("w") as file:
            YAML().dump(data, file)

    def argv(self, *command: str) -> list[str]:
        options = ["--file", str(self.file), "--state", str(self.state)]
        return [sys.executable, "-m", "finsight_serve", *command, *options]

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, MARK: str(self.folder)}

    def fs(self, *command: str, timeout_s: float = 120.0) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.argv(*command),
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )

    def start(self) -> Serving:
        """`fs serve` in the foreground, not waited for."""
        log = self.folder / f"serve-{len(self._serving)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.argv("serve"), env=self.env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        serving = Serving(process, log)
        self._serving.append(serving)
        return serving

    def serve(self, deadline_s: float = READY_S) -> Serving:
        serving = self.start().wait_ready(deadline_s)
        self.note_keys(serving.output)
        return serving

    @property
    def serving(self) -> Serving:
        """The `fs serve` that was started last."""
        return self._serving[-1]

    def note_keys(self, output: str) -> None:
        self.keys |= {tenant: key for key, tenant in re.findall(r"Key +(fs-\S+) +\(tenant ([^;]+);", output)}

    def down(self) -> "subprocess.CompletedProcess[str]":
        done = self.fs("down")
        for serving in self._serving:
            serving.wait_ended()
        return done

    def close(self) -> None:
        """Raises `AssertionError` if `fs down` fails or leaves a process behind; leaves none itself."""
        self.family.members()  # while the leaders of their sessions still live
        try:
            kept = [part for name in self.lost for part in ("--keep", name)]
            done = self.fs("down", *kept) if self.state.exists() else None
            for serving in self._serving:
                serving.wait_ended()
            assert done is None or done.returncode == 0, done.stdout + done.stderr
            self.assert_nothing_runs()
        finally:
            kill(self.family.members())
            for serving in self._serving:
                serving.process.wait(10)
            shutil.rmtree(self.folder, ignore_errors=True)

    def assert_nothing_runs(self) -> None:
        try:
            wait_until(lambda: not self.family.members(), LAST_BREATH_S, "nothing runs")
        except AssertionError:
            left = describe(self.family.members())
            assert not left, "left behind:\n" + "\n".join(left)

    def status(self) -> dict[str, Any]:
        done = self.fs("status", "-o", "json")
        assert done.returncode == 0, done.stderr
        parsed: dict[str, Any] = json.loads(done.stdout)
        return parsed

    def live(self) -> Status | None:
        """What `fs status` would show, without the start of a process; None where no controller answers."""
        return Client(self.state).status()

    def seen(self) -> Status:
        """As `live`, where a controller must be running."""
        status = self.live()
        assert status is not None, "no controller answers"
        return status

    def replicas(self) -> dict[str, str]:
        """Addresses of the ready replicas by id."""
        return {one.id: one.address for one in self.seen().replicas if one.state == "ready"}

    def open_requests(self) -> dict[str, int | None]:
        """The load balancer's count of what each tenant has open."""
        return {one.name: one.open_requests for one in self.seen().tenants}

    def replica_key(self) -> str:
        """The bearer that the load balancer shows to the replicas."""
        secrets = (self.state / "load_balancer" / "current" / "upstream_keys.conf").read_text()
        found = re.search(r"Bearer ([^\"]+)", secrets)
        assert found, secrets
        return found[1]

    def nginx(self) -> psutil.Process:
        return psutil.Process(int((self.state / "load_balancer" / "nginx.pid").read_text()))

    def client(self, tenant: str = "default", *, key: str | None = None, verify: Any = True) -> OpenAI:
        once = httpx.Limits(max_keepalive_connections=0)  # an idle connection would hold up a graceful end
        http = httpx.Client(trust_env=False, timeout=30, verify=verify, limits=once)
        return OpenAI(base_url=f"{self.url}/v1", api_key=key or self.keys[tenant], http_client=http, max_retries=0)

    def load(self, tenant: str = "default", **options: Any) -> Load:
        return Load(f"{self.url}/v1", self.keys[tenant], MODEL, **options)
