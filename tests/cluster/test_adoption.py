"""`fs import`: what people set up from an export becomes the stack's own, without a change to what runs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from finsight_serve_k8s_keda.names import DEPLOYMENT, OWNER

from .applied import POLICY, Applying


@pytest.fixture
def applying(cluster: Any, namespace: str, tmp_path: Path) -> Applying:
    return Applying(cluster.kubectl, namespace, cluster.prometheus_url, tmp_path)


@pytest.mark.parametrize("how", [(), ("--server-side",)])
def test_what_kubectl_applied_is_taken_over_as_it_is(applying, how):
    exported = replace(applying, owner="").plan("chat")
    bodies = [artefact.body for artefact in exported.artefacts]
    for body in bodies:
        del body["metadata"]["namespace"]
    stream = json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})
    applying.kubectl("apply", *how, "-n", applying.namespace, "-f", "-", stdin=stream)
    before = {artefact.name: applying.get(artefact.name) for artefact in exported.artefacts}

    plan = applying.plan("chat")
    assert "`fs import` takes over" in applying.refusal("chat")
    found = anyio.run(applying.plugin.adoptable, plan)
    assert set(found) == set(before)
    assert all(whose.startswith("someone else's (written by") and "kubectl" in whose for whose in found.values())

    anyio.run(applying.plugin.adopt, plan)
    anyio.run(applying.plugin.adopt, plan)
    assert anyio.run(applying.plugin.adoptable, plan) == {}
    for name, body in before.items():
        after = applying.get(name)
        assert after["metadata"]["uid"] == body["metadata"]["uid"]
        assert after.get("spec") == body.get("spec")
        assert after["metadata"]["labels"] == {**body["metadata"]["labels"], OWNER: applying.owner}
        assert after["metadata"]["labels"][DEPLOYMENT] == "chat"

    changed = applying.apply("chat", policy=replace(POLICY, max_replicas=7))
    assert applying.get("ScaledObject/chat")["spec"]["maxReplicaCount"] == 7
    assert applying.in_force(changed) == [artefact.body for artefact in changed.artefacts]
    applying.apply()
    assert applying.get("Deployment/chat") is None


def test_what_differs_from_the_plan_shows_as_a_difference(applying):
    exported = replace(applying, owner="")
    stream = json.dumps(
        {"apiVersion": "v1", "kind": "List", "items": [artefact.body for artefact in exported.plan("chat").artefacts]}
    )
    applying.kubectl("apply", "-f", "-", stdin=stream)
    plan = applying.plan("chat", policy=replace(POLICY, max_replicas=9))
    anyio.run(applying.plugin.adopt, plan)
    assert applying.get("ScaledObject/chat")["spec"]["maxReplicaCount"] == POLICY.max_replicas
    in_force = dict(zip((artefact.name for artefact in plan.artefacts), applying.in_force(plan), strict=True))
    wanted = {artefact.name: artefact.body for artefact in plan.artefacts}
    assert in_force["Service/chat"] == wanted["Service/chat"]
    assert in_force["ScaledObject/chat"] != wanted["ScaledObject/chat"]
    assert in_force["ScaledObject/chat"]["spec"].keys() == wanted["ScaledObject/chat"]["spec"].keys()
    applying.apply("chat", policy=replace(POLICY, max_replicas=9))
    assert applying.get("ScaledObject/chat")["spec"]["maxReplicaCount"] == 9


def test_nothing_is_adopted_where_nothing_runs(applying):
    plan = applying.plan("chat")
    assert anyio.run(applying.plugin.adoptable, plan) == {}
    anyio.run(applying.plugin.adopt, plan)
    assert applying.left() == set()
