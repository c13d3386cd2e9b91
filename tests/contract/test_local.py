from typing import Any

import pytest

from finsight_serve.testing import OrchestratorConformance
from finsight_serve_local.backend import LocalOrchestrator


class TestLocal(OrchestratorConformance):
    @pytest.fixture
    def plugin(self) -> type[Any]:
        return LocalOrchestrator

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"drain_delay_s": 0}
