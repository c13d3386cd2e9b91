"""What is found before anything is applied, as far as no cluster is asked."""

from pathlib import Path
from typing import Any

import pytest

from finsight_serve.testing import make_env
from finsight_serve_k8s_keda.k8s_keda import K8sKeda


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ({}, False),
        ({"network_policy": False, "metrics_key_secret": "scraping"}, False),
        ({"metrics_key_secret": "scraping"}, False),
        ({"network_policy": False}, True),
    ],
)
def test_metrics_that_prometheus_can_not_read_are_warned_of(
    tmp_path: Path, options: dict[str, Any], warned: bool
) -> None:
    found = K8sKeda(K8sKeda.Options(kubeconfig=tmp_path / "none", **options), make_env(tmp_path)).check()
    assert [problem.field for problem in found if not problem.is_warning] == ["kubeconfig"]
    warnings = [problem for problem in found if problem.is_warning]
    assert len(warnings) == warned
    for warning in warnings:
        assert "401" in warning.message and "KEDA gets no signal" in warning.message
        assert "`network_policy: true`" in warning.fix and "`metrics_key_secret: NAME`" in warning.fix
