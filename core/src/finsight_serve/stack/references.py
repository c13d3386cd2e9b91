"""Policies that fs.yaml names rather than spells out, put in their place."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from .document import Document
from .problem import Path, StackProblem
from .python_policies import PolicyError, PolicyModules

FROM = "from"


def expand(document: Document, modules: PolicyModules) -> Document:
    """With every policy that is `module:NAME`, or says `from: module:NAME`, spelled out, also those of windows.

    A deployment's policy in which one can't be read is left out: its problem is told, and the rest of the file
    can still be judged.
    """
    data = deepcopy(document.data)
    problems: list[StackProblem] = []
    deployments = data.get("deployments")
    for index, entry in enumerate(deployments if isinstance(deployments, list) else ()):
        if isinstance(entry, dict) and "policy" in entry:
            found = list(_spell_out(document, ("deployments", index), entry, modules))
            problems += found
            if found:
                del entry["policy"]
    return replace(document, data=data, problems=(*document.problems, *problems))


def _spell_out(
    document: Document, path: Path, holder: dict[str, Any], modules: PolicyModules
) -> Iterator[StackProblem]:
    """Replaces `holder["policy"]`. What has the wrong shape is passed over: the model complains of it."""
    place = (*path, "policy")
    written = holder.get("policy")
    if isinstance(written, str):
        written = {FROM: written}
    elif isinstance(written, dict) and FROM in written:
        place = (*place, FROM)
    elif not isinstance(written, dict):
        return
    own = {key: value for key, value in written.items() if key != FROM}
    windows = own.get("schedule")
    for index, window in enumerate(windows if isinstance(windows, list) else ()):
        if isinstance(window, dict):
            yield from _spell_out(document, (*path, "policy", "schedule", index), window, modules)
    try:
        holder["policy"] = {**_base(written.get(FROM), modules), **own}
    except PolicyError as error:
        yield document.problem(place, str(error))


def _base(reference: Any, modules: PolicyModules) -> Mapping[str, Any]:
    if reference is None:
        return {}
    return modules.policy(reference)
