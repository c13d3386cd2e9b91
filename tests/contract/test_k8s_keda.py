"""The kit over a backend that only renders."""

from typing import Any

import pytest

from finsight_serve.testing import RendererConformance
from finsight_serve_k8s_keda.k8s_keda import K8sKeda


class TestK8sKeda(RendererConformance):
    @pytest.fixture
    def plugin(self) -> type[Any]:
        return K8sKeda


class TestK8sKedaWithTolerance(TestK8sKeda):
    """Where fewer fields are approximate, more changes must show."""

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"hpa_tolerance": True}
