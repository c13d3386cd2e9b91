import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from rendering import render


def peers(**options: Any) -> list[Any]:
    spec = render(**options)["NetworkPolicy"]["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    (rule,) = spec["ingress"]
    found: list[Any] = rule["from"]
    return found


def namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def test_this_stacks_other_pods_and_a_controller_may_come_in() -> None:
    own, controller = peers(prometheus="http://10.0.0.1:9090")
    assert own["podSelector"] == {
        "matchLabels": {
            "app.kubernetes.io/managed-by": "finsight-serve",
            "app.kubernetes.io/instance": "owner-1",
        },
        "matchExpressions": [{"key": "app.kubernetes.io/component", "operator": "NotIn", "values": ["replicas"]}],
    }
    assert controller["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "controller"


def test_the_prometheus_of_the_cluster_may_scrape() -> None:
    assert namespace("monitoring") in peers()
    assert peers(prometheus="http://prom.elsewhere.svc.cluster.local:9090")[2:] == [namespace("elsewhere")]


def test_who_is_named_may_come_in() -> None:
    found = peers(prometheus="http://10.0.0.1:9090", allow_from=["projectcontour", "10.2.0.0/16", "a", "10.1.0.0/16"])
    assert found[2:] == [
        namespace("a"),
        namespace("projectcontour"),
        {"ipBlock": {"cidr": "10.1.0.0/16"}},
        {"ipBlock": {"cidr": "10.2.0.0/16"}},
    ]
