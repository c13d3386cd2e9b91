"""A Helm chart: each object as a template in which what people change at their place is a value. Pure.

With the values that come with it, a chart renders exactly the objects it was made of.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ..kinds import Json
from ..names import COMPONENT, CONTROLLER
from .manifest import file_name, to_yaml
from .settings import Setting, settings

CHART = {
    "apiVersion": "v2",
    "name": "finsight-serve",
    "description": "Language models, served and scaled",
    "type": "application",
    "version": "0.1.0",
}
VALUES_HEADER = """\
# What is set where it is installed. Everything else, policies above all, is written in fs.yaml and exported again:
# the numbers of a policy hang together, and a chart can't work them out.
"""
NAMESPACE_MARK = "finsight-mark-namespace"


@dataclass(frozen=True)
class _Marked:
    """Stands in an object's text until the text is a template."""

    mark: str
    setting: Setting


def chart(objects: Sequence[Json], namespace: str, head: str) -> Mapping[str, str]:
    found = {file_name(body): tuple(settings(body)) for body in objects}
    templates = {f"templates/{file_name(body)}": _template(body, found[file_name(body)], namespace) for body in objects}
    values = _tree(setting for known in found.values() for setting in known)
    return {"Chart.yaml": to_yaml(CHART), "values.yaml": head + VALUES_HEADER + to_yaml(values), **templates}


def _template(body: Json, known: Sequence[Setting], namespace: str) -> str:
    marked = [_Marked(f"finsight-mark-{number}-end", setting) for number, setting in enumerate(known)]
    whole = _in_any_namespace(deepcopy(body), namespace)
    for one in marked:
        one.setting.put(whole, one.mark)
    text = to_yaml(whole).replace("{{", '{{ "{{" }}')
    text = text.replace(f"namespace: {NAMESPACE_MARK}", "namespace: {{ .Release.Namespace | quote }}")
    text = text.replace(NAMESPACE_MARK, "{{ .Release.Namespace }}")
    for one in marked:
        text = _fill(text, one)
    return _guarded(body, namespace) + text


def _guarded(body: Json, namespace: str) -> str:
    """A controller works in the namespace that its file names, and has no rights in another."""
    if body["kind"] != "ConfigMap" or body["metadata"].get("labels", {}).get(COMPONENT) != CONTROLLER:
        return ""
    return (
        f'{{{{- if ne .Release.Namespace "{namespace}" }}}}\n'
        f'{{{{- fail "fs.yaml says namespace: {namespace}; install it there with --namespace {namespace}" }}}}\n'
        "{{- end }}\n"
    )


def _in_any_namespace(value: Any, namespace: str, key: str = "") -> Any:
    """Where an object says where it is, and where its queries say which series are its own."""
    if isinstance(value, Mapping):
        return {name: _in_any_namespace(item, namespace, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_in_any_namespace(item, namespace) for item in value]
    if isinstance(value, str):
        if key == "namespace" and value == namespace:
            return NAMESPACE_MARK
        return value.replace(f'namespace="{namespace}"', f'namespace="{NAMESPACE_MARK}"')
    return value


def _fill(text: str, one: _Marked) -> str:
    """JSON is YAML too, and needs no indentation."""
    value = " ".join(f'"{part}"' for part in one.setting.value)
    line = re.compile(rf"^( *)([^\n]*?){one.mark}$", re.MULTILINE)
    assert line.search(text), f"{one.setting} has no line of its own"
    if not one.setting.may_be_left_out:
        return line.sub(lambda found: f"{found[1]}{found[2]}{{{{ index .Values {value} | toJson }}}}", text)
    return line.sub(
        lambda found: (
            f"{found[1]}{{{{- with index .Values {value} }}}}\n"
            f"{found[1]}{found[2]}{{{{ toJson . }}}}\n"
            f"{found[1]}{{{{- end }}}}"
        ),
        text,
    )


def _tree(known: Iterator[Setting]) -> Json:
    tree: Json = {}
    for setting in known:
        branch = tree
        for part in setting.value[:-1]:
            branch = branch.setdefault(part, {})
        branch.setdefault(setting.value[-1], setting.default)
    return tree
