"""How long a pod that was ready counts as ready when its kubelet no longer says so."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finsight_serve_k8s_keda.readiness_hold import HOLD_S, ReadinessHold
from finsight_serve_k8s_keda.replica_pod import read_pod

sys.path.insert(0, str(Path(__file__).parent))

from kube_pods import container, pod, ready, terminated

UNREADY = ready(False)


def seen(*steps: tuple[float, dict[str, Any]]) -> Sequence[bool]:
    """Whether the pod counts as ready, at each time and in each state of it."""
    now_s = 0.0
    reminders: list[float] = []
    hold = ReadinessHold(lambda: now_s, reminders.append)
    found = []
    for at_s, status in steps:
        now_s = at_s
        (held,) = hold.over([read_pod(pod(**status))])
        found.append(held.is_ready)
    assert set(reminders) <= {HOLD_S}
    return found


def test_a_kubelet_that_starts_again_shuts_nobody_out() -> None:
    assert seen((0, ready()), (1, UNREADY), (6, UNREADY), (7, ready())) == [True] * 4


def test_one_that_stays_unready_is_out_after_a_while() -> None:
    assert seen((0, ready()), (1, UNREADY), (1 + HOLD_S, UNREADY)) == [True, True, False]
    again = ((0, ready()), (1, UNREADY), (20, UNREADY), (21, ready()), (22, UNREADY))
    assert seen(*again) == [True, True, False, True, True]


def test_what_was_never_ready_or_has_ended_is_out_at_once() -> None:
    assert seen((0, UNREADY), (1, UNREADY)) == [False, False]
    ended = {"conditions": UNREADY["conditions"], **container(terminated(), started=False)}
    restarted = {"conditions": UNREADY["conditions"], **container({"running": {}}, restarts=1)}
    assert seen((0, ready()), (1, ended)) == [True, False]
    assert seen((0, ready()), (1, restarted)) == [True, False]
    assert seen((0, ready()), (1, {**UNREADY, "ending": True})) == [True, False]
