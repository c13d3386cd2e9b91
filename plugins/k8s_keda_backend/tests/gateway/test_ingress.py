"""What one rule of an Ingress with one canary can say, and what it can't."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.plugin import ApplyError, Route
from finsight_serve_k8s_keda.gateway.ingress import Split, ingresses, split
from finsight_serve_k8s_keda.gateway.services import backends, shares

from .tables import LABELS, options, route, table

TENANTS = ("a", "b", "c")


def _ingresses(*routes: Route, **given_options: Any) -> dict[str, Any]:
    found = options(form="ingress", **given_options)
    wanted = table(*routes)
    made = ingresses(wanted, backends(wanted, "", "me", found), LABELS, found)
    return {body["metadata"]["name"]: body for body in made}


def _service(ingress: Any) -> str:
    name: str = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"]
    return name


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([{"ray": 100}, {"ray": 100}], Split("ray")),
        ([{"ray": 90, "pods": 10}, {"ray": 90, "pods": 10}], Split("ray", "pods", 10)),
        ([{"ray": 100}, {"pods": 100}], Split("ray", "pods", 0, ("b",))),
        ([{"ray": 70, "pods": 30}, {"pods": 100}], Split("ray", "pods", 30, ("b",))),
        ([{}, {"pods": 100}], Split("pods", "", 0, ("a",))),
    ],
)
def test_what_can_be_said(weights: list[dict[str, int]], expected: Split) -> None:
    assert split([route(tenant, shares) for tenant, shares in zip(TENANTS, weights, strict=False)]) == expected


@pytest.mark.parametrize(
    ("weights", "why"),
    [
        ([{"ray": 90, "pods": 10}, {"ray": 50, "pods": 50}], "tenants have different shares of ray, pods"),
        ([{"ray": 100}, {"pods": 100}, {"ray": 50, "pods": 50}], "tenants have different shares of ray, pods"),
        ([{"ray": 100}, {"pods": 100}, {"other": 100}], "tenants are split over ray, pods, other"),
        ([{"ray": 50, "pods": 30, "": 20}], "tenant a are split"),
    ],
)
def test_what_cannot_be_said_is_refused_in_one_line(weights: list[dict[str, int]], why: str) -> None:
    with pytest.raises(ApplyError) as caught:
        split([route(tenant, shares) for tenant, shares in zip(TENANTS, weights, strict=False)])
    assert why in str(caught.value) and "use `form: routes`" in str(caught.value) and "\n" not in str(caught.value)


@given(st.lists(st.sampled_from([0, 10, 50, 100]), min_size=1, max_size=3))
def test_each_tenant_gets_what_it_should(percents: list[int]) -> None:
    """By ingress-nginx's own rule: a header that matches goes to the canary, and of the rest its percentage."""
    routes = [route(tenant, {"ray": 100 - one, "pods": one}) for tenant, one in zip(TENANTS, percents, strict=False)]
    try:
        made = _ingresses(*routes)
    except ApplyError:
        assert len({one for one in percents if one not in (0, 100)}) > 1 or len(set(percents)) == 3
        return
    primary, canary = made["tenants"], made.get("tenants-canary")
    marks = canary["metadata"]["annotations"] if canary else {}
    pattern = marks.get("nginx.ingress.kubernetes.io/canary-by-header-pattern")
    for one in routes:
        is_matched = pattern is not None and re.search(pattern, one.tenant) is not None
        share = 100 if is_matched else int(marks.get("nginx.ingress.kubernetes.io/canary-weight", 0))
        got = {_service(primary): 100 - share} | ({_service(canary): share} if canary else {})
        assert {name: value for name, value in got.items() if value} == {
            f"{name}-replicas": value for name, value in shares(one).items()
        }


def test_a_hostname_for_each_tenant_gives_each_its_own_percentage() -> None:
    made = _ingresses(
        route("a", {"ray": 90, "pods": 10}),
        route("b", {"ray": 50, "pods": 50}),
        hostname="{tenant}.x",
        ingress_class="n",
    )
    assert {name: body["spec"]["rules"][0]["host"] for name, body in made.items()} == {
        "tenant-a": "a.x",
        "tenant-a-canary": "a.x",
        "tenant-b": "b.x",
        "tenant-b-canary": "b.x",
    }
    weights = {
        name: body["metadata"]["annotations"].get("nginx.ingress.kubernetes.io/canary-weight")
        for name, body in made.items()
    }
    assert weights == {"tenant-a": None, "tenant-a-canary": "10", "tenant-b": None, "tenant-b-canary": "50"}
    assert {body["spec"]["ingressClassName"] for body in made.values()} == {"n"}
