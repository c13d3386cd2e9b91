"""What `GET /api/serve/applications/` says, as far as it is used, and what that means for replicas. Pure."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from finsight_serve.plugin import Replica

TAIL_LINES = 12
NO_DIRECT_INGRESS = "if that lasts, the cluster's Serve runs without RAY_SERVE_ENABLE_DIRECT_INGRESS=1"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
RAY_MARKS = (":job_id:", ":actor_name:")  # which Ray writes into a worker's output for its log monitor
State = Literal["starting", "ready", "draining", "failed"]

# A replica that is reconfigured, or found again by a restarted Serve controller, serves all the while.
STATES: Mapping[str, State] = {
    "STARTING": "starting",
    "RUNNING": "ready",
    "UPDATING": "ready",
    "RECOVERING": "ready",
    "PENDING_MIGRATION": "ready",
    "STOPPING": "draining",
}


class ServeReplica(BaseModel):
    replica_id: str
    state: str
    worker_id: str | None = None
    pid: int | None = None


class ServeDeployment(BaseModel):
    status: str
    message: str = ""
    replicas: list[ServeReplica] = []
    recent_dead_replicas: list[ServeReplica] = []


class Application(BaseModel):
    status: str
    message: str = ""
    last_deployed_time_s: float = 0.0
    deployed_app_config: dict[str, Any] | None = None  # None: deployed from Python, which a PUT leaves alone
    deployments: dict[str, ServeDeployment] = {}

    @property
    def args(self) -> dict[str, Any]:
        args = (self.deployed_app_config or {}).get("args")
        return args if isinstance(args, dict) else {}

    @property
    def owner(self) -> str | None:
        return self.args.get("owner")

    @property
    def building(self) -> bool:
        """Serve imports what was put. Replicas of before, if any, serve on meanwhile, but it lists none."""
        return self.status == "DEPLOYING" and not self.deployments

    @property
    def deleting(self) -> bool:
        """Its replicas finish their streams; Serve lists neither them nor its config any more."""
        return self.status == "DELETING"


class Target(BaseModel):
    ip: str
    port: int
    name: str


class TargetGroup(BaseModel):
    app_name: str = ""
    protocol: str = "HTTP"
    targets: list[Target] = []


class Instance(BaseModel):
    """Everything on the cluster; all empty where Serve has not been started yet."""

    controller_info: dict[str, Any] = Field(default_factory=dict)  # empty: Serve's controller was not found
    proxy_location: str | None = None
    http_options: dict[str, Any] | None = None
    target_capacity: float | None = None
    applications: dict[str, Application] = Field(default_factory=dict)
    target_groups: list[TargetGroup] = Field(default_factory=list)

    def owned(self, owner: str) -> dict[str, Application]:
        return {name: app for name, app in self.applications.items() if app.owner == owner}

    def pids(self, replica_ids: Collection[str]) -> list[int]:
        """Of these replicas' processes, each on its own node."""
        return [
            replica.pid
            for app in self.applications.values()
            for deployment in app.deployments.values()
            for replica in deployment.replicas
            if replica.replica_id in replica_ids and replica.pid is not None
        ]


def addresses(instance: Instance, host: str | None = None) -> dict[str, str]:
    """Replica id → "host:port" of the replicas that listen. `host` overrides what the node advertises."""
    return {
        target.name.rpartition("#")[2]: f"{host or target.ip}:{target.port}"
        for group in instance.target_groups
        if group.protocol == "HTTP"
        for target in group.targets
        if target.name.startswith("SERVE_REPLICA::")
    }


def replicas(
    instance: Instance, owner: str, known: Mapping[str, str], log_tail: Callable[[str], str]
) -> tuple[Replica, ...]:
    """The owner's replicas.

    `known` holds every address learnt so far: Serve stops listing a replica's while it recovers or reconfigures.
    `log_tail(worker_id)` gives a worker's last lines, "" if they can't be had.
    """
    found: list[Replica] = []
    for app in instance.owned(owner).values():
        name = str(app.args["deployment"])
        for deployment in app.deployments.values():
            found += [_replica(name, replica, deployment, known) for replica in deployment.replicas]
        if app.status == "DEPLOY_FAILED":
            found.append(_failed(name, app, log_tail))
    return tuple(sorted(found, key=lambda replica: (replica.deployment, replica.id)))


def unlisted(instance: Instance, owner: str, known: Mapping[str, str]) -> list[str]:
    """Deployments with a replica that serves at an address that is not known."""
    return [
        str(app.args["deployment"])
        for app in instance.owned(owner).values()
        for deployment in app.deployments.values()
        if any(STATES.get(r.state) == "ready" and r.replica_id not in known for r in deployment.replicas)
    ]


def _replica(name: str, replica: ServeReplica, deployment: ServeDeployment, known: Mapping[str, str]) -> Replica:
    address = known.get(replica.replica_id, "")
    state: State = STATES.get(replica.state, "starting")
    reason = ""
    if state == "ready" and not address:
        state, reason = "starting", f"listens on no port that Serve lists: {NO_DIRECT_INGRESS}"
    elif state == "starting" and deployment.status != "UNHEALTHY":  # else it speaks of the one that is replaced
        reason = tail(deployment.message)  # of the attempt before this one, or what it waits for
    return Replica(replica.replica_id, name, address, state, reason)


def _failed(name: str, app: Application, log_tail: Callable[[str], str]) -> Replica:
    """Serve gave up starting: one replica that stands for the attempts."""
    deployments = list(app.deployments.values())
    dead = [replica for deployment in deployments for replica in deployment.recent_dead_replicas]
    said = next((deployment.message for deployment in deployments if deployment.message), app.message)
    log = log_tail(dead[-1].worker_id) if dead and dead[-1].worker_id else ""
    reason = "\n".join(part for part in (tail(log), tail(said)) if part)
    return Replica(
        dead[-1].replica_id if dead else f"{name}@{app.last_deployed_time_s:.3f}", name, "", "failed", reason
    )


def tail(text: str) -> str:
    """The last lines that say something: no colours, no underlines of a traceback, no marks of Ray's."""
    lines = [COLOUR.sub("", line).rstrip() for line in text.splitlines()]
    return "\n".join([line for line in lines if line.strip(" ^~") and not line.startswith(RAY_MARKS)][-TAIL_LINES:])
