"""A YAML file as plain JSON values, each with the line that it stands on."""

import math
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path as File
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .problem import Path, StackErrors, StackProblem, dotted

TAG = "tag:yaml.org,2002:"
MAX_NODES = 100_000  # aliases of aliases can unfold to more than memory holds


@dataclass(frozen=True)
class Mark:
    line: int
    column: int


@dataclass(frozen=True)
class Document:
    file: str
    data: dict[str, Any]
    marks: Mapping[Path, Mark | None]  # of a mapping's value, where its key stands; None: not from the file
    problems: tuple[StackProblem, ...] = ()

    def problem(self, path: Path, message: str) -> StackProblem:
        """At the line of `path`, or of the nearest thing around it that has one."""
        near = next(path[:size] for size in range(len(path), -1, -1) if path[:size] in self.marks)
        mark = self.marks[near]
        if mark is None:
            return StackProblem("", None, None, dotted(path), message)
        return StackProblem(self.file, mark.line, mark.column, dotted(path), message)

    def get(self, *path: str | int) -> Any:
        """The value there; None if there is none."""
        value: Any = self.data
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def replaced(self, values: Mapping[str, Any]) -> "Document":
        """With the values at dotted paths (`backends.east.address`) put in, mappings made on the way."""
        data, marks = deepcopy(self.data), dict(self.marks)
        problems = list(self.problems)
        for key, value in values.items():
            path = tuple(int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", key))
            try:
                target: Any = data
                for part in path[:-1]:
                    target = target.setdefault(part, {}) if isinstance(target, dict) else target[part]
                target[path[-1]] = value
            except (IndexError, KeyError, TypeError, AttributeError):
                problems.append(StackProblem("", None, None, key, "there is no such place in the file"))
                continue
            marks = {known: mark for known, mark in marks.items() if known[: len(path)] != path} | {path: None}
        return replace(self, data=data, marks=marks, problems=tuple(problems))


def read_document(file: File) -> Document:
    """Raises `StackErrors` if it can't be read, is not YAML, or is not a mapping."""
    name = str(file)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise _whole(name, "no such file; `fs init` writes one") from None
    except OSError as error:
        raise _whole(name, f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _whole(name, f"is not text in UTF-8 (byte {error.start})") from error
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = f"not valid YAML: {' '.join(filter(None, (error.context, error.problem)))}"
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        raise StackErrors([StackProblem(name, line, column, "", message)]) from error
    except YAMLError as error:
        raise _whole(name, f"not valid YAML: {' '.join(str(error).split())}") from error
    if root is None:
        raise _whole(name, "is empty; `fs init` writes one that works")
    reader = _Reader(name, yaml)
    data = reader.value(root, ())
    if not isinstance(data, dict):
        raise StackErrors([*reader.problems, reader.problem(root, (), f"must be a mapping, found {_kind(root)}")])
    return Document(name, data, reader.marks, tuple(reader.problems))


def _whole(name: str, message: str) -> StackErrors:
    return StackErrors([StackProblem(name, None, None, "", message)])


def _kind(node: Node) -> str:
    return "a list" if isinstance(node, SequenceNode) else f'"{node.value}"'


class _Reader:
    """Walks YAML's nodes: unlike the values built from them they know their lines and still hold duplicate keys."""

    def __init__(self, name: str, yaml: YAML) -> None:
        self.name = name
        self.marks: dict[Path, Mark | None] = {}
        self.problems: list[StackProblem] = []
        self._yaml = yaml
        self._open: list[Node] = []
        self._nodes = 0

    def problem(self, node: Node, path: Path, message: str) -> StackProblem:
        mark = _mark(node)
        return StackProblem(self.name, mark.line, mark.column, dotted(path), message)

    def value(self, node: Node, path: Path) -> Any:
        self.marks.setdefault(path, _mark(node))
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise StackErrors([self.problem(node, (), f"unfolds to more than {MAX_NODES:,} values")])
        if node in self._open:
            raise StackErrors([self.problem(node, path, "an alias here contains itself")])
        self._open.append(node)
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, path)
            if isinstance(node, SequenceNode):
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._scalar(node, path)
        finally:
            self._open.pop()

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == TAG + "merge":
                for source in value_node.value if isinstance(value_node, SequenceNode) else [value_node]:
                    merged = {**self._merge(source, path), **merged}
                continue
            if not isinstance(key_node, ScalarNode) or key_node.tag != TAG + "str":
                self.problems.append(self.problem(key_node, path, f"a key must be text, found {key_node.value}"))
                continue
            key = str(key_node.value)
            place = (*path, key)
            if key in own:
                first = self.marks[place]
                where = f", first in line {first.line}" if first else ""
                self.problems.append(self.problem(key_node, place, f"this key stands here twice{where}"))
                continue
            self.marks[place] = _mark(key_node)
            own[key] = self.value(value_node, place)
        return {**merged, **own}

    def _merge(self, source: Node, path: Path) -> dict[str, Any]:
        if isinstance(source, MappingNode):
            marks = dict(self.marks)
            found: dict[str, Any] = self.value(source, path)
            self.marks = {**self.marks, **marks}  # what the mapping itself says is the better place to point at
            return found
        self.problems.append(self.problem(source, path, "<<: needs a mapping"))
        return {}

    def _scalar(self, node: Node, path: Path) -> Any:
        tag = str(node.tag).removeprefix(TAG)
        if tag in ("str", "timestamp"):
            return str(node.value)
        if tag not in ("null", "bool", "int", "float"):
            self.problems.append(self.problem(node, path, f"the tag {node.tag} is not allowed"))
            return None
        try:
            value = self._yaml.constructor.construct_object(node)
        except ValueError:
            value = math.nan
        if isinstance(value, float) and not math.isfinite(value):
            self.problems.append(self.problem(node, path, f"must be a finite number, found {node.value[:40]}"))
            return None
        return value


def _mark(node: Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)
