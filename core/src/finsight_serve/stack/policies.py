"""One policy by itself: from a Python module, or a deployment's in an fs.yaml. No plugin is asked for."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path as File
from typing import Any

from pydantic import ValidationError

from ..domain import AutoscalingPolicy, FieldError
from ..errors import UserError
from .document import Document, read_document
from .model import PolicyEntry, entry_schema
from .problem import Path, StackErrors, dotted
from .python_policies import PolicyError, PolicyModules
from .references import expand
from .wording import explain, field_path, suggest

SUFFIXES = (".yaml", ".yml")


def load_policy(reference: str, folder: File) -> AutoscalingPolicy:
    """The policy that `module:NAME` names; modules in `folder` come first.

    The module is imported in a process of its own, with this one's environment and rights.
    Raises `UserError`, a line for each thing wrong with it.
    """
    fields = PolicyModules(folder).policy(reference)
    policy, found = validate(fields)
    if policy is None or found:
        raise PolicyError("\n".join(f"{reference}: {dotted(path)}: {message}" for path, message in found))
    return policy


def read_policy(text: str, folder: File) -> AutoscalingPolicy:
    """What `--policy` takes: `module:NAME`, `fs.yaml` or `fs.yaml:DEPLOYMENT`, files relative to `folder`.

    Raises `UserError`, a line for each thing wrong with it.
    """
    name, _, deployment = text.partition(":")
    if text.endswith(SUFFIXES):
        name, deployment = text, ""
    elif not name.endswith(SUFFIXES):
        return load_policy(text, folder)
    document = read_document(folder / name)
    return _of_deployment(document, _find(document, text, deployment))


def validate(fields: Any) -> tuple[AutoscalingPolicy | None, list[tuple[Path, str]]]:
    """The policy with these fields, JSON values; path and message of each thing wrong with them."""
    data = {"policy": fields}
    try:
        policy = PolicyEntry.model_validate_json(json.dumps(data)).policy
    except ValidationError as error:
        return None, [(path[1:], message) for path, message in explain(error, entry_schema(PolicyEntry), data)]
    return policy, list(schedule_problems(policy))


def schedule_problems(policy: AutoscalingPolicy) -> Iterator[tuple[Path, str]]:
    """What only the calendars know: exchanges, cron expressions."""
    if not policy.schedule:
        return
    from ..schedule import check_schedule  # calendars take a while to import

    try:
        check_schedule(policy)
    except FieldError as error:
        yield field_path(error.field), error.message


def _find(document: Document, text: str, deployment: str) -> int:
    """The index of the deployment of that name; of the only one if none is named."""
    entries = document.get("deployments")
    indices = {
        str(entry["name"]): index
        for index, entry in enumerate(entries if isinstance(entries, list) else ())
        if isinstance(entry, Mapping) and "name" in entry
    }
    if not indices:
        raise UserError(f"{text}: there is no deployment in it")
    if not deployment and len(indices) > 1:
        raise UserError(f"{text}: say whose policy: {', '.join(f'{document.file}:{name}' for name in indices)}")
    if deployment and deployment not in indices:
        raise UserError(f"{text}: no deployment is named {deployment}{suggest(deployment, list(indices))}")
    return indices[deployment] if deployment else next(iter(indices.values()))


def _of_deployment(document: Document, index: int) -> AutoscalingPolicy:
    document = expand(document, PolicyModules(File(document.file).parent))
    path: Path = ("deployments", index, "policy")
    problems = [problem for problem in document.problems if problem.field.startswith(dotted(path))]
    if not problems:
        policy, found = validate(document.get("deployments", index).get("policy", {}))
        if policy is not None and not found:
            return policy
        problems = [document.problem((*path, *place), message) for place, message in found]
    raise StackErrors(problems)
