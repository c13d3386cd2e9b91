"""Asks vLLM about its options: in a process of its own, since importing it takes ten seconds and half a gigabyte."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import platformdirs

from finsight_serve.plugin import Problem

from .environment import ALWAYS, OFFLINE
from .installation import find_build

DEADLINE_S = 300  # 14 s where nothing else runs


def check_options(options: Mapping[str, Any]) -> Sequence[Problem]:
    """One problem per option that the installed vLLM does not take. What it took once is not asked again."""
    build = find_build()
    if build is None or not options:
        return []
    question = json.dumps(options, sort_keys=True, default=str)
    answered = _note(question, version=f"{build[0]} {build[1]}")
    if answered.exists():
        return []
    problems = _ask(question)
    if not problems:
        _remember(answered)
    return problems


def _ask(question: str) -> Sequence[Problem]:
    try:
        asked = subprocess.run(
            [sys.executable, "-m", "finsight_serve_vllm.option_parser"],
            input=question,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            env={**os.environ, **ALWAYS, **OFFLINE},
        )
    except subprocess.TimeoutExpired:
        return [Problem(f"vLLM did not check its options within {DEADLINE_S} s", "try again on a less busy machine")]
    if asked.returncode != 0:
        last = (asked.stderr.strip() or "no reason given").splitlines()[-1]
        return [Problem(f"vLLM can't be imported: {last}", "install it again: see `fs doctor`")]
    faults = json.loads(asked.stdout.splitlines()[-1])
    return [Problem(message, "see vLLM's server arguments", field=name) for name, message in faults]


def _note(question: str, version: str) -> Path:
    digest = hashlib.sha256(f"{version}\n{question}".encode()).hexdigest()
    return platformdirs.user_cache_path("finsight-serve", appauthor=False) / "vllm-options" / digest


def _remember(note: Path) -> None:
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()
    except OSError:
        pass  # only a later check takes longer
