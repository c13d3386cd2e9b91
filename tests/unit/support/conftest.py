from dataclasses import replace
from pathlib import Path

import pytest

from finsight_serve.cli import support_bundle
from finsight_serve.controller.state import Durable
from finsight_serve.stack.values import PluginRef

from ..cli.served import Served
from ..foreign import Foreign

ACME = PluginRef("acme")


def installed(durable: Durable) -> Durable:
    """All its plugins are `acme`."""
    assert durable.stack is not None
    deployments = tuple(replace(one, engine=ACME) for one in durable.stack.deployments)
    return replace(durable, stack=replace(durable.stack, probe=ACME, deployments=deployments))


@pytest.fixture
def served(tmp_path: Path, one_of_each: Foreign, monkeypatch: pytest.MonkeyPatch) -> Served:
    """A state folder beside which a bundle is written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(support_bundle, "_leave", lambda: pytest.fail("something hangs"))
    served = Served(tmp_path / "s")
    served.change(installed)
    return served
