"""`python -m finsight_serve.stack.policy_reader MODULE FOLDER`: the policies of one Python module, as JSON.

It runs in a process of its own, since a policy module is other people's code: it may print, hang, exit, or import what
takes seconds and gigabytes. It has the rights and the environment of whoever runs `fs`. Nothing it prints is kept.
"""

import importlib
import importlib.util
import json
import os
import pkgutil
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import did_you_mean, one_line
from ..policy import AutoscalingPolicy, as_policy

Answer = dict[str, Any]
"""{"policies": {NAME: fields}, "others": {NAME: why it is no policy}}, or {"error": why the module can't be read}."""


def read(module: str, folder: Path) -> Answer:
    """Imports `module`, looked for in `folder` first."""
    sys.path.insert(0, str(folder))
    try:
        missing = _missing(module, folder)
        return {"error": missing} if missing else _policies(importlib.import_module(module))
    except SystemExit as error:
        return {"error": f"{module} exits when it is imported: {_text(error)}{_place(error, folder)}"}
    except BaseException as error:
        hint = "; install it where fs is installed" if isinstance(error, ModuleNotFoundError) else ""
        return {"error": f"{module} raises when it is imported: {_text(error)}{_place(error, folder)}{hint}"}


def _missing(module: str, folder: Path) -> str:
    """Why there is no such module; empty if there is one. Runs what is around it: packages are imported."""
    names = module.split(".")
    path: list[str] | None = None
    for depth, name in enumerate(names, 1):
        spec = importlib.util.find_spec(".".join(names[:depth]))
        if spec is None:
            beside = [found.name for found in pkgutil.iter_modules(path or [str(folder)])]
            where = f"{folder} and on the Python path" if path is None else path[0]
            return f"no module named {module}: looked in {where}{did_you_mean(name, beside)}"
        if depth < len(names) and spec.submodule_search_locations is None:
            return f"no module named {module}: {'.'.join(names[:depth])} is a file, not a folder of modules"
        path = list(spec.submodule_search_locations or ())
    return ""


def _policies(module: ModuleType) -> Answer:
    policies: dict[str, Any] = {}
    others: dict[str, str] = {}
    for name, value in vars(module).items():
        if name.startswith("__"):
            continue
        try:
            policies[name] = _plain(as_policy(value))
        except Exception as error:
            others[name] = str(error).partition("\n")[0]
    return {"policies": policies, "others": others}


def _plain(policy: AutoscalingPolicy) -> Any:
    """Its fields as JSON values. Raises `ValueError`, `TypeError`."""
    return json.loads(json.dumps(asdict(policy)), parse_constant=_refuse)


def _refuse(constant: str) -> float:
    raise ValueError(f"every number must be finite, found {constant}")


def _text(error: BaseException) -> str:
    if isinstance(error, SyntaxError):  # whose text has a place of its own in it
        return f"{type(error).__name__}: {error.msg}"
    return one_line(error).rstrip(": ")


def _place(error: BaseException, folder: Path) -> str:
    """Where in the module it came from: file and line, in brackets."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))
    theirs = [(file, line) for file, line in frames if Path(file).is_relative_to(folder)]
    if not theirs:
        return ""
    file, line = theirs[-1]
    return f" ({Path(file).relative_to(folder)}:{line})"


def main() -> None:
    module, folder = sys.argv[1:]
    answer = os.dup(1)  # what the module prints must not get between
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    body = json.dumps(read(module, Path(folder))).encode()
    while body:
        body = body[os.write(answer, body) :]
    os._exit(0)  # a thread that the module started can't hold the answer up


if __name__ == "__main__":
    main()
