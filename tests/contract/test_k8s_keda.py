"""The kit over what is compiled; tests/cluster runs the rest of it on a real cluster."""

from typing import Any

import pytest

from finsight_serve.testing.compilation import CompilationConformance
from finsight_serve_k8s_keda.k8s_keda import K8sKeda

IMAGE = {"image": "registry.example/echo:1"}
"""The kit's engine names none."""


class TestK8sKeda(CompilationConformance):
    @pytest.fixture
    def plugin(self) -> type[Any]:
        return K8sKeda

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return IMAGE


class TestK8sKedaWithTolerance(TestK8sKeda):
    """Where fewer fields are approximate, more changes must show."""

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {**IMAGE, "hpa_tolerance": True}
