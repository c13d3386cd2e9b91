"""One HTTPRoute per tenant."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.plugin import REFUSED, RouteTable
from finsight_serve_k8s_keda.gateway.routes import http_routes
from finsight_serve_k8s_keda.gateway.services import backends

from .tables import LABELS, options, route, table

SPLIT = {"ray": 90, "pods": 10}


def _routes(wanted: RouteTable, **given_options: Any) -> list[dict[str, Any]]:
    found = options(**given_options)
    return list(http_routes(wanted, backends(wanted, "", "me", found), LABELS, found))


def test_a_tenant_is_found_by_the_header_that_the_edge_sets() -> None:
    made = _routes(table(route("acme", SPLIT), route("beta", {"ray": 100})))
    assert [body["metadata"]["name"] for body in made] == ["tenant-acme", "tenant-beta"]
    (rule,) = made[0]["spec"]["rules"]
    header = {"name": "x-finsight-tenant", "type": "Exact", "value": "acme"}
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}, "headers": [header]}]
    (parent,) = made[0]["spec"]["parentRefs"]
    assert (parent["kind"], parent["namespace"], parent["name"]) == ("Gateway", "infra", "public")
    assert "hostnames" not in made[0]["spec"]


def test_no_replica_is_told_the_tenant_and_no_stream_is_timed() -> None:
    (rule,) = _routes(table(route("acme", SPLIT)))[0]["spec"]["rules"]
    assert rule["filters"] == [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-finsight-tenant"]}}
    ]
    assert rule["timeouts"] == {"request": "0s"}


def test_a_hostname_of_its_own_takes_the_headers_place() -> None:
    (made,) = _routes(table(route("acme", SPLIT)), hostname="{tenant}.llm.example.com", listener="http")
    assert made["spec"]["hostnames"] == ["acme.llm.example.com"]
    assert made["spec"]["rules"][0]["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
    assert made["spec"]["parentRefs"][0]["sectionName"] == "http"


@given(
    st.dictionaries(st.sampled_from(["ray", "pods", "z", REFUSED]), st.integers(0, 100), min_size=1).filter(
        lambda weights: any(weights.values())
    )
)
def test_each_share_is_a_backend_that_says_whose_answer_it_is(weights: dict[str, int]) -> None:
    (rule,) = _routes(table(route("acme", weights)))[0]["spec"]["rules"]
    said = {}
    for ref in rule["backendRefs"]:
        (header,) = ref["filters"][0]["responseHeaderModifier"]["set"]
        deployment = header["value"] if header["name"] == "x-finsight-deployment" else REFUSED
        said[deployment] = ref["weight"]
        assert ref["name"] == (f"{deployment}-replicas" if deployment else "refused-me")
        assert (header["name"] == "retry-after") == (deployment == REFUSED)
    expected = {name: share for name, share in weights.items() if share}
    assert list(said.items()) == list(expected.items()), "in the order of the weights"


def test_without_any_weight_all_is_refused() -> None:
    (rule,) = _routes(table(route("acme", {"chat": 0})))[0]["spec"]["rules"]
    assert [(ref["name"], ref["weight"]) for ref in rule["backendRefs"]] == [("refused-me", 100)]
