"""Any valid policy survives fs.yaml, a Python module's reading, and the store."""

import json
from dataclasses import asdict
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from pydantic import TypeAdapter

from finsight_serve.controller.state import Durable
from finsight_serve.domain.health import HealthRules
from finsight_serve.host import Host
from finsight_serve.policy import AutoscalingPolicy
from finsight_serve.stack import Deployment, PluginRef, Stack, Tenant, load_stack, read_policy
from finsight_serve.stack.policies import validate

from ..foreign import Foreign
from .policies import policies

DURABLE = TypeAdapter(Durable)


@given(policies())
def test_through_the_store(policy: AutoscalingPolicy) -> None:
    read, _ = validate(asdict(policy))
    assert read is not None
    deployment = Deployment("chat", "m", PluginRef("e"), "b", read)
    stack = Stack("s", {}, PluginRef("l"), PluginRef("p"), HealthRules(), (deployment,), (Tenant("t", "chat"),))
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
