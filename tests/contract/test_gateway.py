"""The kit's pure half over the second load balancer; the other runs in tests/cluster/, on a real Gateway."""

from typing import Any

import pytest

from finsight_serve.plugin import REFUSED, Replica, RouteTable
from finsight_serve.testing import LoadBalancerConformance
from finsight_serve.testing.balancing import DEPLOYMENT, table
from finsight_serve.testing.plugin import ActuatorConformance
from finsight_serve_k8s_keda.gateway.gateway import GatewayLoadBalancer


class TestGateway(ActuatorConformance):
    wants = LoadBalancerConformance.wants
    secrets = LoadBalancerConformance.secrets

    @pytest.fixture
    def plugin(self) -> type[Any]:
        return GatewayLoadBalancer

    @pytest.fixture
    def replica_host(self) -> str:
        return "192.0.2.1"

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"gateway": "infra/public", "kubeconfig": "/nonexistent/kubeconfig", "address": "192.0.2.2:80"}


class TestGatewayByHostname(TestGateway):
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        closed = {"proxy_selector": {"app": "envoy"}, "edge_cidrs": ["192.0.2.9/32"]}
        return {"gateway": "infra/public", "kubeconfig": "/nonexistent/kubeconfig", "hostname": "{tenant}.x", **closed}


class TestIngress(TestGateway):
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"form": "ingress", "kubeconfig": "/nonexistent/kubeconfig"}

    @pytest.fixture
    def wants(self, replica_host: str) -> tuple[RouteTable, ...]:
        replica = Replica("echo-0", DEPLOYMENT, f"{replica_host}:20001", "ready")
        split = table(replica, weights={DEPLOYMENT: 80, REFUSED: 20})
        return RouteTable(), table(replica), table(replica, weights={}), split
