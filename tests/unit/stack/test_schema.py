from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from finsight_serve.host import Host
from finsight_serve.stack import schema

from ..foreign import Foreign
from .test_loader import FULL, SMALL


def valid(foreign: Foreign, text: str) -> bool:
    data: Any = YAML(typ="safe").load(text)
    return Draft202012Validator(schema(Host())).is_valid(data)


def test_it_is_a_json_schema(one_of_each: Foreign) -> None:
    Draft202012Validator.check_schema(schema(Host()))


@pytest.mark.parametrize(
    "text",
    [
        SMALL,
        FULL,
        SMALL + "backend: acme\nbackends: {acme: {width: 7}}\nprobe: acme\n",
        SMALL + "breaker: {ttft_p95_s: null, error_rate: 0.2}",
        SMALL + "edge: {plugin: acme, width: 2}",
        SMALL + "    policy: serving.policy:DEFAULT",
        SMALL + "    policy: {from: 'serving.policy:DEFAULT', max_replicas: 3}",
        SMALL + "    policy: {schedule: [{calendar: {exchange: XNYS}, policy: 'serving.policy:DEFAULT'}]}",
        SMALL + "    policy: {schedule: [{weekly: {start: '09:00', end: '10:00', timezone: UTC}, lead_s: measured}]}",
    ],
)
def test_accepts_what_loads(one_of_each: Foreign, text: str) -> None:
    assert valid(one_of_each, text)


@pytest.mark.parametrize(
    "text",
    [
        SMALL + "colour: x",
        SMALL + "breaker: {open: 5}",
        SMALL + "tenants: [{name: t, deployment: chat, requests_per_s: 0}]",
        SMALL + "tenants: [{name: t, deployment: chat, tokens_per_minute: 1.5}]",
        SMALL + "load_balancer: acne",
        SMALL + "load_balancer: {plugin: acme, width: 0}",
        SMALL + "load_balancer: {plugin: acme, weight: 1}",
        SMALL + "edge: {plugin: acme, weight: 1}",
        SMALL + "probe: {plugin: acme, mode: medium}",
        SMALL + "backends: {east: {orchestrator: acne}}",
        SMALL + "backends: {east: {orchestrator: acme, adress: x}}",
        SMALL + "backends: {acme: {adress: x}}",
        SMALL + "    engine_options: {width: x}",
        SMALL + "    engine: acme\n    engine_options: {weight: x}",
        SMALL + "    engine: acne",
        SMALL + "    policy: {min_replica: 1}",
        SMALL + "    policy: default",
        SMALL + "    policy: {from: serving/policy.py}",
        SMALL + "    policy: {schedule: [{calendar: {exchnge: XNYS}}]}",
        SMALL + "    policy: {schedule: [{cron: {start: '0 9 * * *'}}]}",
        SMALL + "    policy: {on_signal_loss: hald}",
        SMALL.replace("small", "My Stack"),
        "name: a\ndeployments: []",
    ],
)
def test_refuses_what_does_not_load(one_of_each: Foreign, text: str) -> None:
    assert not valid(one_of_each, text)


def test_with_several_engines_options_are_checked_only_where_one_is_named(one_of_each: Foreign) -> None:
    one_of_each.install_plugin("engine", "zeta")
    assert not valid(one_of_each, SMALL + "    engine: zeta\n    engine_options: {weight: x}")
    assert valid(one_of_each, SMALL + "    engine: zeta\n    engine_options: {width: 2}")


def test_every_field_is_described(one_of_each: Foreign) -> None:
    found = schema(Host())
    parts = {"fs.yaml": found, **found["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, field in part.get("properties", {}).items()
        if not field.get("description") and "const" not in field
    ]
    assert silent == []


def test_a_broken_plugin_is_left_out_and_named(one_of_each: Foreign) -> None:
    one_of_each.install_plugin("engine", "broken", "raise RuntimeError('no luck')")
    lines: list[str] = []
    found = schema(Host(), lines.append)
    assert len(lines) == 1 and lines[0].startswith("engine broken ")
    assert found["$defs"]["DeploymentEntry"]["properties"]["engine"]["anyOf"][0] == {"enum": ["acme"]}
