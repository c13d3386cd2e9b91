"""The kit over a real Gateway: what it can't do it says in `lacks`, everything else it must."""

from typing import Any

import pytest

from finsight_serve.testing import LoadBalancerConformance
from finsight_serve_k8s_keda.gateway.gateway import GatewayLoadBalancer

from .gateways import gateway_options


class TestGateway(LoadBalancerConformance):
    @pytest.fixture
    def plugin(self) -> type[Any]:
        return GatewayLoadBalancer

    @pytest.fixture
    def replica_host(self, cluster: Any) -> str:
        address: str = cluster.host_address
        return address

    @pytest.fixture
    def options(self, cluster: Any, namespace: str) -> dict[str, Any]:
        return gateway_options(cluster, namespace)
