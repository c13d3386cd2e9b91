"""For people who write plugins: a conformance kit, fakes, and what both stand on. Needs `finsight-serve[testing]`.

A plugin's whole test file:

    import pytest
    from acme_backend import AcmeOrchestrator
    from finsight_serve.testing import OrchestratorConformance

    class TestAcme(OrchestratorConformance):
        @pytest.fixture
        def plugin(self):
            return AcmeOrchestrator

Fixtures to override where the defaults do not fit: `options` (what a user would write), `deadline_s` (for slow
backends), `env` and `other_env` (to share a cluster among the checks), `launch`. Load balancers do the same with
`LoadBalancerConformance` and must give `options`; an orchestrator that only renders with `RendererConformance`. What a
plugin lacks, by its own `lacks`, is skipped with the reason that it gives.

Everything here is imported when it is first used: the echo replica must not pay for pytest.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compilation import RendererConformance
    from .echo import echo_launch
    from .fake_actuators import FakeLoadBalancer, FakeOrchestrator
    from .fakes import FakeClock, FakeProcesses
    from .load_balancer import LoadBalancerConformance
    from .orchestrator import OrchestratorConformance
    from .real_env import find_free_port, make_env
    from .waiting import converge, snapshot_when, wait_for

__all__ = [
    "FakeClock",
    "FakeLoadBalancer",
    "FakeOrchestrator",
    "FakeProcesses",
    "LoadBalancerConformance",
    "OrchestratorConformance",
    "RendererConformance",
    "converge",
    "echo_launch",
    "find_free_port",
    "make_env",
    "snapshot_when",
    "wait_for",
]

_MODULES = {
    "FakeClock": "fakes",
    "FakeLoadBalancer": "fake_actuators",
    "FakeOrchestrator": "fake_actuators",
    "FakeProcesses": "fakes",
    "LoadBalancerConformance": "load_balancer",
    "OrchestratorConformance": "orchestrator",
    "RendererConformance": "compilation",
    "converge": "waiting",
    "echo_launch": "echo",
    "find_free_port": "real_env",
    "make_env": "real_env",
    "snapshot_when": "waiting",
    "wait_for": "waiting",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name.endswith("Conformance"):
        import pytest

        # so that a failed check shows its values, as in a test file
        checks = ("plugin", "compilation", "orchestrator", "tenancy", "load_balancer")
        pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in checks))
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
