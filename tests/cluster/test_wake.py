"""Down to zero, and awake again by what nginx counts alone: where no pod is, no engine can say that it is wanted."""

from contextlib import closing

from openai import APIStatusError, OpenAI

from finsight_serve.testing import find_free_port

from ..e2e.stand import MODEL
from ..e2e.waiting import wait_until
from .harness.cluster import Cluster
from .stands import ClusterStand

POLICY = {
    "min_replicas": 0,
    "max_replicas": 1,
    "upscale_delay_s": 0,
    "downscale_delay_s": 10,
    "look_back_period_s": 2,
}
ASLEEP_S, AWAKE_S = 120.0, 120.0
BETWEEN_TRIES_S = 2.0  # as `Retry-After` says


def test_a_refused_request_wakes_it(cluster: Cluster, namespace: str) -> None:
    metrics = f"{cluster.host_address}:{find_free_port()}"
    with closing(ClusterStand(cluster, namespace)) as stand:
        stand.write(
            policy=POLICY,
            nginx={"metrics_listen": metrics, "allow_plaintext": True},
            pods={"load_balancer_labels": {"stand": namespace}},
        )
        cluster.scrape(f"{namespace}-edge", metrics, stand=namespace)
        stand.serve()
        wait_until(lambda: not stand.pods(), ASLEEP_S, "nobody asks, and no pod is left")
        client = stand.client()
        wait_until(lambda: refusal(client) == (503, "2"), ASLEEP_S, "what drains answers; then nobody does")
        wait_until(lambda: refusal(client) is None, AWAKE_S, "a pod has come and answers", poll_s=BETWEEN_TRIES_S)
        assert len(stand.pods()) == 1
        wait_until(lambda: not stand.pods(), ASLEEP_S, "its last answer was a while ago, and it went again")


def refusal(client: OpenAI) -> tuple[int, str] | None:
    """Status and `Retry-After`, or None for an answer."""
    try:
        client.completions.create(model=MODEL, prompt="Are you there?", max_tokens=2)
    except APIStatusError as error:
        return error.status_code, error.response.headers["retry-after"]
    return None
