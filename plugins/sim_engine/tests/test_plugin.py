import subprocess
import sys

import pluggy

import finsight_serve_sim
from finsight_serve.plugin import Hooks


def test_the_hook_returns_the_class_however_often_it_is_registered():
    for _ in range(2):
        manager = pluggy.PluginManager("finsight_serve")
        manager.add_hookspecs(Hooks)
        manager.register(finsight_serve_sim)
        (found,) = manager.hook.engine()
        assert found.__name__ == "SimEngine"


def test_importing_the_plugin_imports_nothing_heavy():
    heavy = "pydantic, uvicorn, vllm, torch, transformers, prometheus_client"
    code = f"import sys, finsight_serve_sim; print([m for m in '{heavy}'.split(', ') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
