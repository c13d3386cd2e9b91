import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from stevedore import ExtensionManager

from .foreign import Foreign


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Foreign]:
    """An empty folder of distributions; `Host` sees those in it and no others."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(
        "finsight_serve.host.inventory.distributions", lambda: metadata.distributions(path=[str(folder)])
    )
    # stevedore remembers entry points in the process and under the user's home
    monkeypatch.setattr(ExtensionManager, "ENTRY_POINT_CACHE", {})
    monkeypatch.setattr("stevedore._cache._c._internal", {})
    monkeypatch.setattr("stevedore._cache._c._disable_caching", True)
    site = Foreign(folder)
    yield site
    for name in site.imported():
        del sys.modules[name]


@pytest.fixture
def one_of_each(foreign: Foreign) -> Foreign:
    """A working plugin of every kind that a stack needs, each named `acme`."""
    foreign.install_plugin("orchestrator", "acme")
    foreign.install_plugin("load_balancer", "acme")
    foreign.install_plugin("health_probe", "acme")
    foreign.install_plugin("engine", "acme")
    return foreign
