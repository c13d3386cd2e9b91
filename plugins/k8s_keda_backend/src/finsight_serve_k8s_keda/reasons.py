"""Why a pod does not serve: what Kubernetes says, what was reported about it, and the engine's last words."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from .kinds import POD, Json
from .kube_api import KubeApi
from .refusals import ApiRefusal
from .replica_pod import ENGINE, ReplicaPod

LINES = 5
CHARACTERS = 400
AT_ONCE = 4
"""Logs that are read at the same time: a thousand pods may fail together."""
HOPELESS = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)
"""What the kubelet says of a container that it has tried to start and could not."""
WORDS: Mapping[str, str] = {
    "OOMKilled": "it took more memory than its limit",
    "Unschedulable": "no node takes it",
    "SchedulingGated": "it is held back by a scheduling gate",
}


@dataclass(frozen=True, slots=True)
class Warning:
    """The last of a kind of events about a pod."""

    pod_uid: str
    reason: str
    message: str
    at: str  # RFC 3339


def read_warning(body: Json) -> Warning | None:
    """None for what isn't about a pod, or is no warning."""
    about = body.get("involvedObject") or {}
    if about.get("kind") != "Pod" or body.get("type") != "Warning":
        return None
    series = body.get("series") or {}
    at = series.get("lastObservedTime") or body.get("lastTimestamp") or body.get("eventTime") or ""
    return Warning(about.get("uid", ""), body.get("reason", ""), clipped(body.get("message", "")), at)


def newest_warnings(warnings: Iterable[Warning]) -> Mapping[str, Warning]:
    """By the pod's uid."""
    found: dict[str, Warning] = {}
    for warning in sorted(warnings, key=lambda warning: warning.at):
        found[warning.pod_uid] = warning
    return found


def has_failed(pod: ReplicaPod) -> bool:
    """It could not be started, or its process ended and no other one has answered yet."""
    broke = pod.ended is not None and not pod.is_started
    return pod.phase == "Failed" or pod.waiting in HOPELESS or broke


def reason(pod: ReplicaPod, warning: Warning | None, last_words: str) -> str:
    """Of a pod that isn't ready; several lines, of which the last one says most."""
    lines: list[str] = []
    if pod.ended is not None:
        restarted = f", restarted {pod.restarts} times" if pod.restarts else ""
        lines.append(f"its process ended with exit code {pod.ended.exit_code}{restarted}")
        lines += last_words.splitlines()
        lines += [f"{pod.ended.reason}: {clipped(pod.ended.message)}"] if pod.ended.message else []
        lines += [f"OOMKilled: {WORDS['OOMKilled']}"] if pod.ended.reason == "OOMKilled" else []
    if pod.ended is None or pod.phase == "Failed":
        lines += _what_kubernetes_says(pod, warning)
    return "\n".join(lines)


def _what_kubernetes_says(pod: ReplicaPod, warning: Warning | None) -> Iterator[str]:
    if pod.waiting not in ("", "ContainerCreating", "PodInitializing"):
        yield f"{pod.waiting}: {clipped(pod.message or WORDS.get(pod.waiting, ''))}".rstrip(": ")
    elif warning is not None and not _is_loading(pod, warning):
        yield f"{warning.reason}: {warning.message}"


def clipped(message: str) -> str:
    """On one line."""
    text = " ".join(message.split())
    return text if len(text) <= CHARACTERS else text[: CHARACTERS - 1] + "…"


def _is_loading(pod: ReplicaPod, warning: Warning) -> bool:
    """Nobody listens yet while a model is read: the startup probe says so every few seconds, and nothing is wrong."""
    return pod.is_running and not pod.is_started and "connection refused" in warning.message


class LastWords:
    """The last log lines of processes that ended: each is read once, beside everything else."""

    def __init__(self, api: KubeApi, changed: Callable[[], None]) -> None:
        self._api = api
        self._changed = changed
        self._known: dict[str, str] = {}  # container → its lines
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._at_once = asyncio.Semaphore(AT_ONCE)

    def of(self, pod: ReplicaPod) -> str | None:
        """None: still being read."""
        return "" if pod.ended is None else self._known.get(pod.ended.id)

    def read(self, pods: Iterable[ReplicaPod]) -> None:
        """Begins to read what `pods` have left and isn't known; what others have left is forgotten."""
        ended = {pod.ended.id: pod for pod in pods if pod.ended is not None}
        self._known = {id: lines for id, lines in self._known.items() if id in ended}
        for id in [id for id in self._reading if id not in ended or self._reading[id].done()]:
            self._reading.pop(id).cancel()
        for id, pod in ended.items():
            if id not in self._known and id not in self._reading:
                self._reading[id] = asyncio.create_task(self._read(id, pod))

    async def stop(self) -> None:
        for task in self._reading.values():
            task.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)

    async def _read(self, id: str, pod: ReplicaPod) -> None:
        assert pod.ended is not None
        path = POD.path(self._api.namespace, pod.name) + "/log"
        query = {"tailLines": str(LINES), "previous": str(not pod.ended.is_last).lower(), "container": ENGINE}
        async with self._at_once:
            try:
                text = await self._api.text(path, query)
            except ApiRefusal:
                text = ""  # the node may be gone, or keep no logs: the exit code is what remains
        self._known[id] = "\n".join(clipped(line) for line in text.splitlines() if line.strip())
        self._changed()
