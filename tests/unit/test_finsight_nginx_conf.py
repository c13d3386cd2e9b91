"""examples/finsight/nginx/nginx.conf is what the plugin renders for examples/finsight/fs.yaml at its widest.

Run as a script, this file writes it anew.
"""

import math
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from finsight_serve.controller.routing import TIMES_ITS_TARGET
from finsight_serve.plugin import Limits, Replica, Route, RouteTable
from finsight_serve.stack import read_policy
from finsight_serve_nginx.options import Options
from finsight_serve_nginx.render import render

EXAMPLE = Path(__file__).parents[2] / "examples" / "finsight"
FIRST_REPLICA_PORT = 30000
"""Where Ray's direct ingress begins."""


def rendered() -> dict[str, str]:
    """The example's files with every replica that its policy allows, one key for each tenant."""
    stack = YAML(typ="safe").load(EXAMPLE / "fs.yaml")
    options = {name: value for name, value in stack["load_balancer"].items() if name != "plugin"}
    routes = tuple(
        Route(tenant["name"], (f"{n:064x}",), {tenant["deployment"]: 100}, Limits(tenant.get("max_ongoing_requests")))
        for n, tenant in enumerate(stack["tenants"])
    )
    policies = {one["name"]: read_policy(f"fs.yaml:{one['name']}", EXAMPLE) for one in stack["deployments"]}
    replicas = tuple(
        Replica(f"{name}-{n}", name, f"127.0.0.1:{FIRST_REPLICA_PORT + n}", "ready")
        for name, policy in policies.items()
        for n in range(policy.max_replicas)
    )
    bounds = {
        name: math.ceil(TIMES_ITS_TARGET * policy.target_ongoing_requests) * policy.max_replicas
        for name, policy in policies.items()
    }
    table = RouteTable(routes, replicas, max_ongoing_requests=bounds)
    artefacts = render(table, Options.model_validate(options))
    return {artefact.name: artefact.body for artefact in artefacts}


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    pytest.importorskip("ray", reason="the example's policy is made of Ray's classes")
    return rendered()


def test_the_examples_nginx_conf_is_what_is_rendered(files: dict[str, str]) -> None:
    written = (EXAMPLE / "nginx" / "nginx.conf").read_text("utf-8")
    assert written == files["nginx.conf"], f"write it anew: python {Path(__file__).relative_to(EXAMPLE.parents[1])}"


def test_rendering_names_no_path_of_this_machine(files: dict[str, str]) -> None:
    for body in files.values():
        assert str(EXAMPLE.parents[1]) not in body and str(Path.home()) + "/" not in body


if __name__ == "__main__":
    (EXAMPLE / "nginx").mkdir(exist_ok=True)
    (EXAMPLE / "nginx" / "nginx.conf").write_text(rendered()["nginx.conf"], "utf-8")
