"""kubectl against one context."""

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ...e2e.waiting import wait_until
from .errors import HarnessError

T = TypeVar("T")


@dataclass(frozen=True)
class Kubectl:
    binary: Path
    kubeconfig: Path
    context: str | None = None

    def __call__(self, *arguments: str, stdin: str | None = None, timeout_s: float = 60) -> str:
        """Its output. Raises `HarnessError` with what it said."""
        argv = [str(self.binary), f"--kubeconfig={self.kubeconfig}"]
        argv += [f"--context={self.context}"] if self.context else []
        done = subprocess.run([*argv, *arguments], input=stdin, capture_output=True, text=True, timeout=timeout_s)
        if done.returncode:
            raise HarnessError(f"`kubectl {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))

    def apply(self, *objects: Mapping[str, Any], namespace: str | None = None) -> str:
        where = ["-n", namespace] if namespace else []
        stream = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        return self("apply", *where, "-f", "-", stdin=stream)

    def works(self, *arguments: str) -> bool:
        try:
            self(*arguments)
        except (HarnessError, subprocess.TimeoutExpired):
            return False
        return True

    def wait(self, condition: Callable[[], T], deadline_s: float, what: str, *, poll_s: float = 0.3) -> T:
        """The condition's first true result; while the API server refuses, there is none."""

        def tried() -> T | None:
            try:
                return condition()
            except HarnessError:
                return None

        found = wait_until(tried, deadline_s, what, poll_s=poll_s)
        assert found is not None
        return found
