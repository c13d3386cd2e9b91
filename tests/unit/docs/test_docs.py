"""What the documents list is what the code has, and what they point to is there."""

import ast
import importlib.util
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args, get_type_hints

import pytest

from finsight_serve.cli.main import COMMANDS
from finsight_serve.host import Host
from finsight_serve.plugin import GROUPS, Feature, Hooks, Replica
from finsight_serve.stack import load_stack

ROOT = Path(__file__).parents[3]
CORE = ROOT / "core" / "src" / "finsight_serve"
TELLING = ("reduce", "scaling", "tenancy", "breaking", "migrating", "migration_intents")
"""Modules of the controller that decide, and so tell what people should hear."""
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(path for folder in ("docs", "examples", "runbooks") for path in (ROOT / folder).rglob("*.md")),
    ],
)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rows(document: str, first_header: str) -> list[list[str]]:
    """The cells of the first table whose first header is this."""
    lines = iter(document.splitlines())
    for line in lines:
        if line.startswith(f"| {first_header} |"):
            next(lines)
            break
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    assert found, f"there is no table with the header {first_header!r}"
    return found


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_readme_lists_every_command_with_its_own_short_help() -> None:
    assert {cells[0]: cells[1] for cells in rows(read("README.md"), "command")} == {
        f"`fs {name}`": help for name, help in COMMANDS.items()
    }


def test_readme_lists_every_plugin_of_ours() -> None:
    ours = {
        (row.name, row.kind.replace("_", " "), row.distribution)
        for row in Host().installed()
        if row.distribution.startswith("finsight-serve")
    }
    listed = {
        (quoted(name)[0], kind, quoted(distribution)[0])
        for name, kind, distribution in rows(read("README.md"), "plugin")
    }
    assert listed == ours


def test_architecture_lists_every_hook_with_its_arguments() -> None:
    def signature(name: str) -> str:
        arguments = list(inspect.signature(getattr(Hooks, name)).parameters)[1:]
        return f"{name}({', '.join(arguments)})"

    hooks = [signature(name) for name in vars(Hooks) if not name.startswith("_")]
    assert [quoted(cells[0])[0] for cells in rows(read("ARCHITECTURE.md"), "hook")] == hooks


def test_architecture_lists_every_feature() -> None:
    assert [quoted(cells[0])[0] for cells in rows(read("ARCHITECTURE.md"), "feature")] == [f.value for f in Feature]


def test_architecture_lists_every_entry_point_group() -> None:
    table = next(part for part in read("ARCHITECTURE.md").split("\n## ") if part.startswith("The contract"))
    assert {quoted(kind)[0]: quoted(group)[0] for kind, group, _ in rows(table, "kind")} == dict(GROUPS)


def test_architecture_lists_every_event() -> None:
    table = read("ARCHITECTURE.md").partition("### Events")[2]
    assert sorted(name for cells in rows(table, "kind") for name in quoted(cells[0])) == sorted(set(event_kinds()))


def event_kinds() -> Iterator[str]:
    """The first of each (kind, subject, reason) that the reducer tells, and the second argument of each Event."""
    for path in (CORE / "controller").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Tuple) and len(node.elts) == 3 and path.stem in TELLING:
                yield from kinds_of(node.elts[0])
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Event" and len(node.args) > 1:
                yield from kinds_of(node.args[1])


def kinds_of(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):  # f"replica_{replica.state}"
        assert ast.unparse(node) == "f'replica_{replica.state}'"
        yield from (f"replica_{state}" for state in get_args(get_type_hints(Replica)["state"]))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_points_to_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    missing = [
        target
        for target, anchor in re.findall(r"\]\(((?!https?:)[^)#]*)(?:#([^)]*))?\)", prose)
        if not (document.parent / target).exists() or (anchor and not has_heading(document, target, anchor))
    ]
    missing += [
        path for path in paths_in(prose) if not any((base / path).exists() for base in (ROOT, CORE, document.parent))
    ]
    assert missing == []


def has_heading(document: Path, target: str, anchor: str) -> bool:
    text = (document.parent / target if target else document).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def paths_in(prose: str) -> Iterator[str]:
    """Code that can only be a path of the repository: it begins with one of its folders, or is a Python file."""
    folders = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
    for word in quoted(prose):
        if re.fullmatch(rf"(?:{folders})/[\w./*-]*|[\w./]+\.py", word):
            yield from ([] if "*" in word else [word])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_stack_in_a_document_is_valid(document: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for block in blocks:
        file = tmp_path / "fs.yaml"
        # what a short example leaves out where one plugin of a kind is installed
        file.write_text(
            block
            if "backend:" in block
            else "backend: local\n" + block.replace("    model", "    engine: sim\n    model")
        )
        load_stack(file, Host())


@pytest.mark.parametrize(
    ("script", "made", "function"),
    [("docs/fs_yaml.py", "docs/fs-yaml.md", "generate"), ("docs/request_path.py", "docs/request-path.svg", "draw")],
)
def test_made_documents_are_up_to_date(script: str, made: str, function: str) -> None:
    make = getattr(load(script), function)
    fresh = make(Host()) if inspect.signature(make).parameters else make()
    assert read(made) == fresh, f"make it again: python {script} > {made}"


def load(script: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(script).stem, ROOT / script)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
