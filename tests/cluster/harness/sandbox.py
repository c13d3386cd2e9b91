"""Where a cluster's processes live: process, network and mount namespaces that end, with all in them, at once.

Nothing of a cluster needs a free port, a name of its own or a clean-up of its mounts, links and packet filter rules.
"""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from finsight_serve.env import ProcessId
from finsight_serve.processes import SystemProcesses

from ...e2e.waiting import wait_until
from .addresses import Addresses
from .cgroups import make_cgroup, remove_cgroup
from .errors import HarnessError
from .requirements import search_path

FORWARDS_NOTHING = "-P FORWARD DROP"
INIT = """
set -e
mount --make-rshared /
mount -t tmpfs run /run
for folder in lib log; do
    mkdir -p "$1/var/$folder" "$1/var/.$folder"
    mount -t overlay overlay -o "lowerdir=/var/$folder,upperdir=$1/var/$folder,workdir=$1/var/.$folder" /var/$folder
done
echo 1 > /proc/sys/net/ipv4/ip_forward
ip link set lo up
trap '' CHLD
touch "$1/ready"
exec sleep infinity
"""
"""The first process. What the node writes outside of its folder goes to a tmpfs and to overlays that end with it;
ignoring SIGCHLD reaps the orphans that are handed to it."""


class Sandbox:
    def __init__(self, state: Path, addresses: Addresses) -> None:
        self.state, self.addresses = state, addresses
        self.name = state.name
        self.processes = SystemProcesses()
        self.record = state / "processes.json"

    def open(self, *, with_us: bool) -> None:
        """`with_us`: it also ends when the calling thread does, even by SIGKILL. Raises `HarnessError`."""
        bound = ["setpriv", "--pdeathsig", "KILL"] if with_us else []
        made = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self._start("init", [*bound, *made, "--propagation", "slave", "sh", "-c", INIT, "sh", str(self.state)])
        ready = self.state / "ready"
        wait_until(lambda: ready.exists() or not self.alive("init"), 60, "the cluster's namespaces")
        if not ready.exists():
            raise HarnessError(f"no namespaces: {self.log('init').read_text().strip()}")
        make_cgroup(self.cgroup)
        self._link()

    @property
    def cgroup(self) -> str:
        return f"fs-{self.name}"

    def log(self, name: str) -> Path:
        return self.state / "logs" / f"{name}.log"

    def run(self, *argv: str, timeout_s: float = 60) -> str:
        """Inside; its output. Raises `HarnessError` with what it said."""
        env = {**os.environ, "PATH": search_path()}
        done = subprocess.run([*self._enter(), *argv], env=env, capture_output=True, text=True, timeout=timeout_s)
        if done.returncode:
            raise HarnessError(f"`{' '.join(argv)}` failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def start(self, name: str, argv: Sequence[str]) -> None:
        """Inside, and detached: it outlives the caller and ends with the sandbox."""
        self._start(name, [*self._enter(), *argv])

    @property
    def started(self) -> list[str]:
        return list(self._known())

    def alive(self, name: str) -> bool:
        known = self._known().get(name)
        return known is not None and self.processes.alive(known)

    def kill(self, name: str, number: int = signal.SIGKILL, *, grace_s: float = 30) -> None:
        """Signals the process that `start` started, and waits until it is gone."""
        known = self._known().get(name)
        if known is None or not self.processes.alive(known):
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(known.pid).children():  # `nsenter` waits for the one it started
                child.send_signal(number)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.alive(name), grace_s, name)
            return
        self.kill(name, signal.SIGKILL)

    def close(self) -> None:
        """Kills all, and returns when nothing of it is left but the folder."""
        known = self._known().get("init")
        if known and self.processes.alive(known):
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                os.kill(known.pid, signal.SIGKILL)
        wait_until(
            lambda: not any(self.alive(name) for name in self._known()), 30, "the end of the cluster's processes"
        )
        with contextlib.suppress(HarnessError):  # it went with its other end
            _ip("link", "del", self.link)
        with contextlib.suppress(HarnessError):  # most hosts needed none
            self._forward("--delete")
        remove_cgroup(self.cgroup)

    @property
    def link(self) -> str:
        return f"fs-{self.name}"[:15]

    def _link(self) -> None:
        """A cable to the host, which routes pods and services by it; pods reach the host by it too."""
        addresses = self.addresses
        _ip("link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", str(self.first_process))
        _ip("addr", "add", f"{addresses.host}/{addresses.link.prefixlen}", "dev", self.link)
        _ip("link", "set", self.link, "up")
        Path(f"/proc/sys/net/ipv4/conf/{self.link}/forwarding").write_text("1")  # to other clusters' pods
        self.run("ip", "addr", "add", f"{addresses.node}/{addresses.link.prefixlen}", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "route", "add", "default", "via", addresses.host)
        for net in (addresses.pods, addresses.services):
            _ip("route", "add", str(net), "via", addresses.node)
        if FORWARDS_NOTHING in _on_host("iptables", "--wait", "--list-rules", "FORWARD"):
            self._forward("--insert")

    def _forward(self, order: str) -> None:
        """Where Docker runs, the host passes on nothing but what Docker's own rules name."""
        for way in ("--in-interface", "--out-interface"):
            _on_host("iptables", "--wait", order, "FORWARD", way, self.link, "--jump", "ACCEPT")

    @property
    def first_process(self) -> int:
        """Its id as this host knows it. Raises `HarnessError`."""
        known = self._known().get("init")
        children = psutil.Process(known.pid).children() if known and self.processes.alive(known) else []
        if not children:
            raise HarnessError(f"the cluster {self.name} does not run (logs: {self.state / 'logs'})")
        return int(children[0].pid)

    def _enter(self) -> list[str]:
        return ["nsenter", "--target", str(self.first_process), "--mount", "--net", "--pid"]

    def _start(self, name: str, argv: Sequence[str]) -> None:
        started = self.processes.start(argv, env={"PATH": search_path()}, log=self.log(name))
        known = {**self._known(), name: started}
        self.record.with_suffix(".new").write_text(
            json.dumps({name: [process.pid, process.started_s] for name, process in known.items()})
        )
        self.record.with_suffix(".new").rename(self.record)

    def _known(self) -> dict[str, ProcessId]:
        if not self.record.exists():
            return {}
        return {name: ProcessId(*process) for name, process in json.loads(self.record.read_text()).items()}


def _ip(*arguments: str) -> str:
    return _on_host("ip", *arguments)


def _on_host(*argv: str) -> str:
    done = subprocess.run(argv, env={**os.environ, "PATH": search_path()}, capture_output=True, text=True)
    if done.returncode:
        raise HarnessError(f"`{' '.join(argv)}` failed: {done.stderr.strip()}")
    return done.stdout


def routed() -> list[str]:
    """Every IPv4 net that this host has a route to, but for the default one."""
    routes = json.loads(_ip("-json", "-4", "route", "show", "table", "all"))
    return [route["dst"] for route in routes if route["dst"] != "default"]
