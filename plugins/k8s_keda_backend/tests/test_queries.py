"""The queries, as text; what they mean is shown on a real Prometheus in tests/integration/k8s_keda."""

from dataclasses import replace
from typing import Any

import pytest

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve_k8s_keda.options import Options
from finsight_serve_k8s_keda.queries import queue_query, ready_query

SIGNALS = {"running": "vllm:num_requests_running", "waiting": "vllm:num_requests_waiting"}
SOME = AutoscalingPolicy(max_replicas=4, look_back_period_s=15)
NONE = replace(SOME, min_replicas=0)
PODS = '{namespace="default",pod=~"chat-[0-9a-z]+-[0-9a-z]+"}'
TOTAL = f"sum(vllm:num_requests_running{PODS}) + sum(vllm:num_requests_waiting{PODS})"


def queue(policy: AutoscalingPolicy, **options: Any) -> str:
    return queue_query("chat", SIGNALS, policy, Options(**options))


def test_with_a_floor_only_engines_are_asked() -> None:
    assert queue(SOME) == TOTAL


def test_without_a_floor_the_load_balancer_is_asked_where_there_is_no_engine() -> None:
    edge = '{deployment="chat"}'
    refused = f"(sum(increase(finsight_refused_requests_total{edge}[60s])) > bool 0)"
    assert queue(NONE) == f"({TOTAL}) or (sum(finsight_ongoing_requests{edge}) + {refused})"
    assert "[120s]))" in queue(replace(NONE, look_back_period_s=120))
    assert "[80s]))" in queue(NONE, scrape_interval_s=20)


def test_a_look_back_averages_the_whole() -> None:
    assert queue(replace(SOME, look_back_period_s=30)) == f"avg_over_time(({TOTAL})[30s:15s])"
    assert queue(replace(NONE, look_back_period_s=2.5), scrape_interval_s=1).endswith("[60s])) > bool 0)))[2500ms:1s])")


@pytest.mark.parametrize(("value", "written"), [("east", "east"), ('a"b', 'a\\"b'), ("a\\b", "a\\\\b")])
def test_the_load_balancer_has_labels_of_its_own(value: str, written: str) -> None:
    assert f'{{deployment="chat",stack="{written}"}}' in queue(NONE, load_balancer_labels={"stack": value})


def test_ready_replicas() -> None:
    asked = ready_query("chat", SIGNALS, SOME, Options())
    said = 'sum(kube_deployment_status_replicas_ready{namespace="default",deployment="chat"})'
    assert asked == f"{said} or count(count by (pod) (vllm:num_requests_running{PODS}))"
    none = ' or 0 * sum(finsight_ongoing_requests{deployment="chat"})'
    assert ready_query("chat", SIGNALS, NONE, Options()) == asked + none
