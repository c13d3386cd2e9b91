"""The core never asks for a plugin by name or by type: only documentation may speak of one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import finsight_serve

CORE = Path(finsight_serve.__file__).parent
NAMES = {"ray", "k8s-keda", "keda", "nginx", "vllm", "sim", "local"}
ROLES = {"Plugin", "Actuator", "Orchestrator", "LoadBalancer", "HealthProbe", "Engine"}
FILES = sorted(CORE.rglob("*.py"))


def parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def words(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Identifiers, imported modules and the words of strings that are no documentation."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield from ((node.lineno, word) for word in re.findall(r"[A-Za-z]+", node.value))
        elif isinstance(node, ast.Name | ast.Attribute):
            yield node.lineno, node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            yield from ((node.lineno, part) for module in modules for part in re.split(r"[._]", module))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CORE)))
def test_no_plugin_is_named(file: Path) -> None:
    assert [(line, word) for line, word in words(parse(file)) if word.lower() in NAMES] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CORE)))
def test_no_plugin_is_told_by_its_type(file: Path) -> None:
    checks = [
        node.lineno
        for node in ast.walk(parse(file))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("isinstance", "issubclass")
        and ROLES & {getattr(part, "id", getattr(part, "attr", "")) for part in ast.walk(node.args[1])}
    ]
    assert checks == []


def test_the_check_sees_names() -> None:
    assert len(FILES) > 20
    found = {word for _, word in words(ast.parse('"""ray."""\nimport ray.serve\nx = "use nginx"\ny.vllm = sim'))}
    assert {"ray", "nginx", "vllm", "sim"} <= found
