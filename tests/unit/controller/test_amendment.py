"""What a running controller takes: numbers, and nothing that has to be built or started anew."""

from dataclasses import replace

import pytest

from finsight_serve.controller.amendment import differences, moves, obstacles
from finsight_serve.domain.breaker import BreakerRules
from finsight_serve.stack.values import Stack, Tenant

from .worlds import stack

OLD = stack(("chat", "one"), ("code", "two"))


def with_tenant(tenant: Tenant) -> Stack:
    return replace(OLD, tenants=(tenant,))


@pytest.mark.parametrize(
    ("new", "difference"),
    [
        (replace(OLD, breaker=BreakerRules(error_rate=0.2)), "breaker.error_rate: 0.5 → 0.2"),
        (replace(OLD, breaker=BreakerRules(ttft_p95_s=2)), "breaker.ttft_p95_s: none → 2"),
        (with_tenant(Tenant("default", "chat", 8)), "tenants.default.max_ongoing_requests: none → 8"),
        (with_tenant(Tenant("default", "chat", requests_per_s=2.5)), "tenants.default.requests_per_s: none → 2.5"),
        (with_tenant(Tenant("default", "chat", tokens_per_minute=9)), "tenants.default.tokens_per_minute: none → 9"),
    ],
)
def test_breaker_rules_and_tenants_limits_are_numbers(new: Stack, difference: str) -> None:
    assert list(differences(OLD, new)) == [difference]
    assert list(obstacles(OLD, new)) == []


def test_another_deployment_of_a_tenant_is_more_than_a_number() -> None:
    new = with_tenant(Tenant("default", "code", 8, 2.5, 9))
    assert list(obstacles(OLD, new)) == ["tenants.default.deployment: chat → code"]
    assert list(moves(OLD, new)) == [("tenants.default.deployment: chat → code", "default", "code")]


def test_a_tenant_can_be_moved_only_to_what_is_there() -> None:
    more = stack(("chat", "one"), ("code", "two"), ("new", "two"))
    new = replace(more, tenants=(Tenant("default", "new"), Tenant("other", "code")))
    assert list(moves(OLD, new)) == []
    assert list(obstacles(OLD, new)) == [
        "deployments.new: none → added",
        "tenants.default.deployment: chat → new",
        "tenants.other: none → added",
    ]
    assert next(obstacles(new, OLD)) == "deployments.new: there → removed"
