"""The stack's pods and objects, watched for as long as somebody asks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from finsight_serve.env import Clock
from finsight_serve.plugin import Artefact, Observed

from .kinds import APPLIED, EVENT, HPA, POD
from .kube_api import KubeApi
from .observation import Seen, observed, own_pods, watched
from .readiness_hold import ReadinessHold
from .reasons import LastWords
from .watching import Live, watching


async def observing(
    api: KubeApi, owner: str, cluster: str, port: int, evicted: Callable[[], tuple[Artefact, ...]], clock: Clock
) -> AsyncIterator[Observed]:
    """Snapshots, each differing from the one before. Raises `ApiRefusal` once it can't be known."""
    last: Observed | None = None
    async with watching(api, watched(owner), clock) as live:
        last_words = LastWords(api, live.touch)
        loop = asyncio.get_running_loop()
        hold = ReadinessHold(clock.now, lambda delay_s: loop.call_later(delay_s, live.touch))
        try:
            async with aclosing(live.changes()) as changes:  # type: ignore[type-var]
                async for _ in changes:
                    seen = _seen(live)
                    pods = hold.over(own_pods(seen, owner))
                    last_words.read(pods)
                    words = {pod.name: text for pod in pods if (text := last_words.of(pod)) is not None}
                    found = observed(seen, pods, words, evicted(), cluster, api.namespace, port)
                    if found != last:
                        last = found
                        yield found
        finally:
            await last_words.stop()


def _seen(live: Live) -> Seen:
    applied = {kind: live.kept(kind) for kind in APPLIED}
    return Seen(applied, live.kept(POD), live.kept(HPA), live.kept(EVENT))
