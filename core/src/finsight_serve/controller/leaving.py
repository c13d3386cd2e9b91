"""What a stack has, by name, so that what it has no more is known; and how a load balancer leaves."""

from collections.abc import AsyncIterator, Mapping, Sequence

from ..env import Clock
from ..plugin import DeploymentSpec, LoadBalancer, Observed, Plan, Problem, RouteTable
from ..stack.values import PluginRef, Stack

FRONT, BEHIND_EDGE = "load_balancer", "behind_edge"
"""Load balancers' folders. Whatever clients talk to has the same with and without one behind it, so that it goes on."""
GRACE_S = 15.0
"""Longer than an edge keeps connections that were open when it was told of another way (nginx: 10 s)."""


def balancers(stack: Stack) -> Mapping[str, PluginRef]:
    """By folder."""
    if stack.edge is None:
        return {FRONT: stack.load_balancer}
    return {FRONT: stack.edge, BEHIND_EDGE: stack.load_balancer}


def members(stack: Stack) -> Mapping[str, PluginRef]:
    """Backends by name, and load balancers by folder and plugin, "behind_edge/gateway", which no backend can be called.

    The same plugin in the same folder is the same one, whatever its options: it adopts what it started.
    """
    return {**stack.backends, **{f"{folder}/{ref.plugin}": ref for folder, ref in balancers(stack).items()}}


def is_balancer(member: str) -> bool:
    return "/" in member


class LeavingBalancer:
    """An orchestrator to whoever empties what was left behind, by a want of ()."""

    def __init__(self, balancer: LoadBalancer, clock: Clock) -> None:
        self._balancer, self._clock = balancer, clock
        self.name, self.Options, self.lacks = balancer.name, balancer.Options, balancer.lacks
        self.on_this_machine = balancer.on_this_machine

    def check(self) -> Sequence[Problem]:
        return self._balancer.check()

    def compile(self, want: tuple[DeploymentSpec, ...]) -> Plan:
        return self._balancer.compile(RouteTable())

    async def apply(self, plan: Plan) -> None:
        await self._clock.sleep(GRACE_S)
        await self._balancer.apply(plan)

    def observe(self) -> AsyncIterator[Observed]:
        return self._balancer.observe()
