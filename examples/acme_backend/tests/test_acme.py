import pytest
from acme_backend import AcmeOrchestrator

from finsight_serve.testing import OrchestratorConformance


class TestAcme(OrchestratorConformance):
    @pytest.fixture
    def plugin(self):
        return AcmeOrchestrator
