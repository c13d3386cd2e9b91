"""Who imports what, read from every import statement, those inside functions included."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core/src/finsight_serve"
PLUGINS = {path.name: path for path in ROOT.glob("plugins/*/src/*") if path.is_dir() and path.suffix != ".egg-info"}
PUBLIC = {"capabilities", "domain", "env", "plugin", "ports", "replica_guard", "schedule"}


def imports(folder: Path) -> Iterator[tuple[str, str]]:
    """(file, absolute module) of each import below `folder`."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from ((file.name, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield file.name, node.module


def users(package: str, *folders: Path) -> set[str]:
    return {
        f"{folder.name}/{file}"
        for folder in folders
        for file, module in imports(folder)
        if module.partition(".")[0] == package
    }


def test_there_is_something_to_read() -> None:
    assert len(PLUGINS) == 7
    assert len(list(imports(CORE))) > 300


def test_only_ray_api_imports_ray() -> None:
    assert users("ray", CORE, *PLUGINS.values()) == {"finsight_serve_ray/ray_api.py"}


def test_only_the_vllm_plugin_imports_vllm() -> None:
    found = users("vllm", CORE, *PLUGINS.values())
    assert found and {name.partition("/")[0] for name in found} == {"finsight_serve_vllm"}


@pytest.mark.parametrize("name", PLUGINS)
def test_no_plugin_imports_another_and_the_core_imports_none(name: str) -> None:
    others = [folder for folder in PLUGINS.values() if folder.name != name]
    assert users(name, CORE, *others) == set()


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_imports_only_what_of_the_core_is_public(name: str) -> None:
    used = {module.split(".")[1] for _, module in imports(PLUGINS[name]) if module.startswith("finsight_serve.")}
    assert used <= PUBLIC
