"""Any valid policy survives fs.yaml, a Python module's reading, and the store."""

import json
from dataclasses import asdict
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from finsight_serve.controller.state import Durable
from finsight_serve.domain.breaker import BreakerRules
from finsight_serve.domain.health import HealthRules
from finsight_serve.host import Host
from finsight_serve.policy import AutoscalingPolicy
from finsight_serve.stack import Deployment, PluginRef, Stack, Tenant, load_stack, read_policy
from finsight_serve.stack.policies import validate

from ..foreign import Foreign
from .policies import policies

DURABLE = TypeAdapter(Durable)
POSITIVE = st.floats(1e-3, 1e6)
COUNTS = st.integers(1, 10**9)
BREAKERS = st.builds(
    BreakerRules,
    window_s=st.floats(1e-3, 3600),
    min_requests=COUNTS,
    error_rate=st.floats(0, 1, exclude_min=True),
    consecutive_failures=COUNTS,
    ttft_p95_s=st.none() | POSITIVE,
    open_s=POSITIVE,
    max_open_s=st.floats(1e6, 1e9),
    half_open_percent=st.integers(1, 99),
    half_open_requests=COUNTS,
)
TENANTS = st.builds(Tenant, st.just("t"), st.just("chat"), st.none() | COUNTS, st.none() | POSITIVE, st.none() | COUNTS)


@given(policies(), BREAKERS, TENANTS)
def test_through_the_store(policy: AutoscalingPolicy, breaker: BreakerRules, tenant: Tenant) -> None:
    read, _ = validate(asdict(policy))
    assert read is not None
    deployment = Deployment("chat", "m", PluginRef("e"), "b", read)
    stack = Stack("s", {}, PluginRef("l"), PluginRef("p"), HealthRules(), (deployment,), (tenant,), breaker)
    stored = DURABLE.validate_json(DURABLE.dump_json(Durable(stack=stack)))
    assert stored.stack == stack


@given(policies())
def test_through_the_fields_that_a_module_hands_over(policy: AutoscalingPolicy) -> None:
    assert validate(json.loads(json.dumps(asdict(policy)))) == (policy, [])


@given(policies())
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_through_a_file(one_of_each: Foreign, tmp_path: Path, policy: AutoscalingPolicy) -> None:
    file = tmp_path / "fs.yaml"
    chat = {"name": "chat", "model": "m", "policy": asdict(policy)}
    file.write_text(json.dumps({"name": "small", "deployments": [chat]}))  # JSON is YAML
    assert load_stack(file, Host()).deployments[0].policy == policy
    assert read_policy("fs.yaml:chat", tmp_path) == policy


@given(BREAKERS, TENANTS)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_breaker_and_limits_through_a_file(
    one_of_each: Foreign, tmp_path: Path, breaker: BreakerRules, tenant: Tenant
) -> None:
    file = tmp_path / "fs.yaml"
    chat = {"name": "chat", "model": "m"}
    written = {"name": "small", "deployments": [chat], "breaker": asdict(breaker), "tenants": [asdict(tenant)]}
    file.write_text(json.dumps(written))
    stack = load_stack(file, Host())
    assert (stack.breaker, stack.tenants) == (breaker, (tenant,))
