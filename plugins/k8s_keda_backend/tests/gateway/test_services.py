"""What routes send to."""

from collections.abc import Mapping
from typing import Any

import pytest

from finsight_serve.plugin import REFUSED, ApplyError, RouteTable
from finsight_serve_k8s_keda.gateway.options import Options
from finsight_serve_k8s_keda.gateway.services import MOST_ENDPOINTS, Backend, backends, services

from .tables import LABELS, options, route, table

CLUSTER = "0123456789ab"
NATIVE = f"k8s://{CLUSTER}/llm/chat:8000"


def _found(wanted: RouteTable, cluster: str = CLUSTER, owner: str = "me") -> Mapping[str, Backend]:
    return backends(wanted, cluster, owner, options())


def _bodies(wanted: RouteTable, given: Options | None = None) -> dict[str, Any]:
    made = list(services(wanted, _found(wanted), LABELS, given or options()))
    assert all(body["metadata"]["namespace"] == "llm" for body in made)
    return {f"{body['kind']}/{body['metadata']['name']}": body for body in made}


def test_a_deployment_of_this_namespace_is_reached_by_its_own_service() -> None:
    wanted = table(route("acme", {"chat": 100}), replicas={"10.0.0.1:8000": "chat"}, refs={"chat": NATIVE})
    assert _found(wanted) == {"chat": Backend("chat", 8000, is_native=True)}
    assert _bodies(wanted) == {}


@pytest.mark.parametrize(
    "ref", ["k8s://ba9876543210/llm/chat:8000", f"k8s://{CLUSTER}/other/chat:8000", "serve://chat", NATIVE + "/x", ""]
)
def test_any_other_has_its_replicas_listed(ref: str) -> None:
    wanted = table(route("acme", {"chat": 100}), replicas={"10.0.0.1:8000": "chat"}, refs={"chat": ref})
    assert _found(wanted) == {"chat": Backend("chat-replicas", 80)}
    assert set(_bodies(wanted)) == {"Service/chat-replicas", "EndpointSlice/chat-replicas-8000"}


def test_a_cluster_that_cannot_be_told_is_nobodys_own() -> None:
    wanted = table(route("acme", {"chat": 100}), refs={"chat": NATIVE})
    assert _found(wanted, cluster="") == {"chat": Backend("chat-replicas", 80)}


def test_each_port_and_family_has_a_slice_of_its_own() -> None:
    ready = {"10.0.0.2:8000": "chat", "10.0.0.1:8000": "chat", "10.0.0.1:8001": "chat", "[fd00::1]:8000": "chat"}
    made = _bodies(table(route("acme", {"chat": 100}), replicas=ready))
    slices = {
        name: (body["addressType"], [one["addresses"] for one in body["endpoints"]], body["ports"][0]["port"])
        for name, body in made.items()
        if body["kind"] == "EndpointSlice"
    }
    assert slices == {
        "EndpointSlice/chat-replicas-8000": ("IPv4", [["10.0.0.1"], ["10.0.0.2"]], 8000),
        "EndpointSlice/chat-replicas-8001": ("IPv4", [["10.0.0.1"]], 8001),
        "EndpointSlice/chat-replicas-8000-v6": ("IPv6", [["fd00::1"]], 8000),
    }
    port_name = made["Service/chat-replicas"]["spec"]["ports"][0]["name"]
    for name in slices:
        assert made[name]["ports"][0]["name"] == port_name, "a Service finds its endpoints' port by this name"
        assert made[name]["metadata"]["labels"]["kubernetes.io/service-name"] == "chat-replicas"


def test_a_slice_holds_no_more_than_the_api_server_takes() -> None:
    ready = {f"10.0.{number // 250}.{number % 250 + 1}:8000": "chat" for number in range(MOST_ENDPOINTS + 1)}
    made = _bodies(table(route("acme", {"chat": 100}), replicas=ready))
    sizes = {name: len(body["endpoints"]) for name, body in made.items() if body["kind"] == "EndpointSlice"}
    assert sizes == {"EndpointSlice/chat-replicas-8000": MOST_ENDPOINTS, "EndpointSlice/chat-replicas-8000-1": 1}


def test_what_is_refused_has_a_service_without_endpoints() -> None:
    for weights in ({}, {"chat": 0}, {REFUSED: 100}):
        assert _found(table(route("acme", weights))).keys() >= (
            {REFUSED} if not weights or REFUSED in weights else set()
        )
    wanted = table(route("acme", {"chat": 50, REFUSED: 50}), replicas={"10.0.0.1:8000": "chat"})
    assert _found(wanted)[REFUSED] == Backend("refused-me", 80)
    assert [name for name in _bodies(wanted) if "refused" in name] == ["Service/refused-me"]
    assert REFUSED not in _found(table(route("acme", {"chat": 100, REFUSED: 0})))


def test_replicas_that_no_route_names_yet_are_known_already() -> None:
    wanted = table(route("acme", {"chat": 100}), replicas={"10.0.0.1:8000": "chat", "10.0.0.2:8000": "next"})
    assert set(_found(wanted)) == {"chat", "next"}


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1:8000", "a cluster reaches no such address"),
        ("[::1]:8000", "a cluster reaches no such address"),
        ("0.0.0.0:8000", "a cluster reaches no such address"),
        ("169.254.1.1:8000", "a cluster reaches no such address"),
        ("gpu7.example.com:8000", "an EndpointSlice takes IP addresses only"),
    ],
)
def test_an_address_that_a_cluster_cannot_use_is_refused(address: str, why: str) -> None:
    wanted = table(route("acme", {"chat": 100}), replicas={address: "chat"})
    with pytest.raises(ApplyError, match=why) as caught:
        _bodies(wanted)
    assert "\n" not in str(caught.value) and "let its backend have replicas listen on" in str(caught.value)


def test_a_controllers_settings_go_to_each_service() -> None:
    wanted = table(route("acme", {"chat": 100}))
    made = _bodies(wanted, options(service_annotations={"projectcontour.io/max-requests": "10000"}))
    assert made["Service/chat-replicas"]["metadata"]["annotations"] == {"projectcontour.io/max-requests": "10000"}
