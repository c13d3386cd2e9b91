"""Policies that stand in Python modules, named as `module:NAME`."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from .wording import suggest

REFERENCE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
TIMEOUT_ENV = "FS_POLICY_TIMEOUT_S"
TIMEOUT_S = 60.0  # a policy module may import an orchestrator, which takes seconds
MAX_ANSWER_BYTES = 1_000_000


class PolicyError(UserError):
    """Why a policy can't be read, in one line that begins with its reference."""


@dataclass(frozen=True)
class Read:
    """What one module holds."""

    policies: Mapping[str, Mapping[str, Any]]  # name → fields of an AutoscalingPolicy, JSON all the way down
    others: Mapping[str, str]  # name → why it is no policy


class PolicyModules:
    """Modules looked for in `folder` first, each read once, in a process that ends with the reading."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._found: dict[str, Read | PolicyError] = {}

    def policy(self, reference: object) -> Mapping[str, Any]:
        """The fields of the policy `module:NAME`, not yet validated. Raises `PolicyError`."""
        if not isinstance(reference, str) or not REFERENCE.fullmatch(reference):
            shown = json.dumps(reference, ensure_ascii=False, default=str)[:80]
            raise PolicyError(f'must be "module:NAME", as serving.policy:DEFAULT, found {shown}')
        module, _, name = reference.partition(":")
        found = self._read(module)
        if name in found.policies:
            return found.policies[name]
        if name in found.others:
            raise PolicyError(f"{reference} {_sentence(found.others[name])}")
        known = list(found.policies)
        raise PolicyError(
            f"{module} has no {name}{suggest(name, known)}"
            if known
            else f"{module} has no {name}, and no policy at all"
        )

    def _read(self, module: str) -> Read:
        if module not in self._found:
            try:
                self._found[module] = read_module(module, self._folder, timeout_s())
            except PolicyError as error:
                self._found[module] = error
        found = self._found[module]
        if isinstance(found, PolicyError):
            raise found
        return found


def _sentence(why: str) -> str:
    return why if why.startswith("is ") else f"is no policy: {why}"


def timeout_s() -> float:
    """How long the reading of one module may take. Raises `PolicyError`."""
    text = os.environ.get(TIMEOUT_ENV, "")
    try:
        limit = float(text) if text else TIMEOUT_S
    except ValueError:
        limit = 0.0
    if not 0 < limit < float("inf"):
        raise PolicyError(f"{TIMEOUT_ENV}: must be a number of seconds greater than 0, found {text}")
    return limit


def read_module(module: str, folder: Path, limit_s: float) -> Read:
    """Imports `module` in a process of its own, whose whole group is ended afterwards. Raises `PolicyError`."""
    argv = [sys.executable, "-P", "-B", "-m", "finsight_serve.stack.policy_reader", module, str(folder)]
    with tempfile.TemporaryFile() as answer:  # a pipe would be held open by whatever the module leaves running
        try:
            process = subprocess.Popen(
                argv,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=answer,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise PolicyError(f"{module} can't be read: {error.strerror or error}") from error
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise PolicyError(
                f"{module} takes more than {limit_s:g} s to import, and was stopped ({TIMEOUT_ENV} sets the limit)"
            ) from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        answer.seek(0)
        body = answer.read(MAX_ANSWER_BYTES + 1)
    return _parse(module, code, body)


def _parse(module: str, code: int, body: bytes) -> Read:
    if len(body) > MAX_ANSWER_BYTES:
        raise PolicyError(f"{module} holds more than {MAX_ANSWER_BYTES:,} bytes of policies")
    try:
        found = json.loads(body)
        if "error" in found:
            raise PolicyError(found["error"])
        return Read(found["policies"], found["others"])
    except (ValueError, KeyError, TypeError):
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        raise PolicyError(f"{module} ended the process that imported it {how}, and no policy was read") from None
