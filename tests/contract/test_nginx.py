from typing import Any

import pytest

from finsight_serve.testing import LoadBalancerConformance, find_free_port
from finsight_serve_nginx.plugin import NginxLoadBalancer


class TestNginx(LoadBalancerConformance):
    @pytest.fixture
    def plugin(self) -> type[Any]:
        return NginxLoadBalancer

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"listen": f"127.0.0.1:{find_free_port()}", "drain_timeout_s": 2}
