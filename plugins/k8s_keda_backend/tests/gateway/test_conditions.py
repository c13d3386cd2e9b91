"""A controller's status, in the user's words."""

from typing import Any

import pytest

from finsight_serve_k8s_keda.gateway.conditions import ACCEPTED, PENDING, verdict

from .tables import options


def _condition(type_: str, status: str, reason: str = "", generation: int = 3, message: str = "") -> dict[str, Any]:
    return {"type": type_, "status": status, "reason": reason, "observedGeneration": generation, "message": message}


def _route(*conditions: dict[str, Any], parent: dict[str, Any] | None = None) -> dict[str, Any]:
    ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "infra", "name": "public"}
    return {
        "metadata": {"name": "tenant-acme", "namespace": "llm", "generation": 3},
        "spec": {"hostnames": ["acme.x"]},
        "status": {"parents": [{"parentRef": {**ref, **(parent or {})}, "conditions": list(conditions)}]},
    }


GOOD = (_condition("Accepted", "True"), _condition("ResolvedRefs", "True"))


def test_both_conditions_are_needed() -> None:
    assert verdict(_route(*GOOD), options()) == ACCEPTED
    assert verdict(_route(GOOD[0]), options()) == PENDING
    assert verdict(_route(), options()) == PENDING
    assert verdict({"metadata": {"name": "x", "generation": 1}, "spec": {}}, options()) == PENDING


def test_what_was_said_of_an_older_generation_counts_for_nothing() -> None:
    old = (_condition("Accepted", "True", generation=2), _condition("ResolvedRefs", "True", generation=2))
    assert verdict(_route(*old), options()) == PENDING
    assert verdict(_route(_condition("Accepted", "False", "NotAllowedByListeners", 2)), options()) == PENDING


@pytest.mark.parametrize(
    ("parent", "given"),
    [({"name": "other"}, {}), ({"namespace": "llm"}, {}), ({"sectionName": "http"}, {}), ({}, {"listener": "http"})],
)
def test_another_gateways_word_counts_for_nothing(parent: dict[str, Any], given: dict[str, Any]) -> None:
    assert verdict(_route(*GOOD, parent=parent), options(**given)) == PENDING
    assert verdict(_route(*GOOD, parent={"sectionName": "http"}), options(listener="http")) == ACCEPTED


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (("Accepted", "False", "NotAllowedByListeners"), "let a listener's allowedRoutes admit namespace llm"),
        (("Accepted", "False", "NoMatchingListenerHostname"), "no listener for acme.x"),
        (("Accepted", "False", "NoMatchingParent"), "has no listener that takes HTTPRoutes"),
        (("Accepted", "False", "UnsupportedValue"), "refuses HTTPRoute tenant-acme: UnsupportedValue"),
        (("ResolvedRefs", "False", "BackendNotFound"), "names a Service that is not there"),
        (("ResolvedRefs", "False", "RefNotPermitted"), "which no ReferenceGrant permits"),
        (("Accepted", "False", "RuleMatchConflict"), "another stack's tenant of this name behind the same Gateway"),
        (("PartiallyInvalid", "True", "UnsupportedValue"), "refuses HTTPRoute tenant-acme: UnsupportedValue"),
    ],
)
def test_a_refusal_says_what_to_do(condition: tuple[str, str, str], words: str) -> None:
    found = verdict(_route(*GOOD, _condition(*condition, message="its own words")), options())
    assert found.state == "refused"
    assert words in found.why and "(its own words)" in found.why
