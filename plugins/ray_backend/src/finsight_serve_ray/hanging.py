"""Replicas that must go and hang. They can't be told so, and Serve (2.60) never health-checks a replica again once it
waits for it to take a new `user_config`: telling a hanging one would keep it for ever. So on this machine it is killed,
and elsewhere it is not told: then Serve's own health check ends it."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx
import psutil

ANSWER_TIMEOUT_S = 2.0
PROCESS_TITLE = "ray::ServeReplica"


async def find_hanging(addresses: Mapping[str, str], http: Callable[[], httpx.AsyncClient]) -> frozenset[str]:
    """Of replica id → "host:port", the ids whose port takes a connection and then says nothing."""
    hanging = set()
    async with http() as client:
        for replica_id, address in addresses.items():
            try:
                await client.get(f"http://{address}/health", timeout=ANSWER_TIMEOUT_S)
            except httpx.ReadTimeout:
                hanging.add(replica_id)
            except httpx.HTTPError:
                continue  # dead, which Serve sees by itself
    return frozenset(hanging)


def told_to_go(applications: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(
        id for app in applications for deployment in app["deployments"] for id in deployment["user_config"]["evict"]
    )


def without(application: Mapping[str, Any], untold: frozenset[str]) -> dict[str, Any]:
    """The application with these replicas not told to go."""
    deployments = [
        {
            **deployment,
            "user_config": {"evict": [id for id in deployment["user_config"]["evict"] if id not in untold]},
        }
        for deployment in application["deployments"]
    ]
    return {**application, "deployments": deployments}


def kill(pids: Iterable[int]) -> None:
    """Only what still is a replica: a pid may have been given to another process since."""
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process = psutil.Process(pid)
            if " ".join(process.cmdline()).startswith(PROCESS_TITLE):
                process.kill()
