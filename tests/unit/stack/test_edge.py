# ruff: noqa: E501
# (a table of mistakes reads best with one to a line)
"""Which load balancer is meant, and who knows the keys."""

import pytest

from finsight_serve.host import Host
from finsight_serve.stack import PluginRef, template

from ..foreign import MEMBERS, PLUGIN, Foreign
from .loading import SMALL, errors, load


def with_a_keyless_balancer(foreign: Foreign, name: str = "plain") -> Foreign:
    source = PLUGIN.format(name=name, kind="load_balancer", members=MEMBERS["load_balancer"])
    foreign.install_plugin("load_balancer", name, source.replace("Feature.EVICT", "Feature.KEYS"))
    return foreign


def test_a_load_balancer_without_keys_is_meant_only_where_it_is_named(one_of_each: Foreign) -> None:
    with_a_keyless_balancer(one_of_each, "aaa")
    assert load(one_of_each, SMALL).load_balancer == PluginRef("acme")
    assert "  plugin: acme" in template(Host()) and "aaa" not in template(Host())
    one_of_each.install_plugin("load_balancer", "zeta")
    assert errors(one_of_each, SMALL) == [
        "fs.yaml:1: load_balancer: say which load balancer: several are installed (acme, zeta)"
    ]


def test_an_edge_brings_the_keys_that_a_load_balancer_lacks(one_of_each: Foreign) -> None:
    with_a_keyless_balancer(one_of_each)
    stack = load(one_of_each, SMALL + "load_balancer: plain\nedge: {plugin: acme, width: 3}")
    assert (stack.load_balancer, stack.edge) == (PluginRef("plain"), PluginRef("acme", {"width": 3}))
    assert load(one_of_each, SMALL + "load_balancer: acme\nedge: null").edge is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("load_balancer: plain", "fs.yaml:5: load_balancer: plain has no API keys (it has no hands): add `edge: acme`"),
        ("load_balancer: plain\nedge: plain", "fs.yaml:6: edge: plain has no API keys either (it has no hands)"),
        ("load_balancer: acme\nedge: acme", "fs.yaml:6: edge: acme has API keys itself and needs nothing before it: leave this out"),
        ("load_balancer: plain\nedge: acne", "fs.yaml:6: edge: no load balancer named acne is installed; installed: acme, plain; did you mean acme?"),
        ("load_balancer: plain\nedge: {plugin: acme, width: 0}", "fs.yaml:6: edge.width: must be greater than or equal to 1, found 0"),
    ],
)  # fmt: skip
def test_somebody_has_to_know_the_keys(one_of_each: Foreign, text: str, expected: str) -> None:
    with_a_keyless_balancer(one_of_each)
    assert errors(one_of_each, SMALL + text) == [expected]


def test_an_edge_brings_the_keys_of_so_many_deployments(one_of_each: Foreign) -> None:
    with_a_keyless_balancer(one_of_each)
    text = "name: many\nload_balancer: plain\nedge: acme\ndeployments:\n"
    text += "".join(f"  - {{name: d{number}, model: m}}\n" for number in range(65))
    assert errors(one_of_each, text) == ["fs.yaml:3: edge: brings the keys of at most 64 deployments, found 65"]
