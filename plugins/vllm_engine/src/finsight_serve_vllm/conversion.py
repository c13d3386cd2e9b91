"""Runs `dequantise` in a process of its own and shows how far it is."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from finsight_serve.plugin import ApplyError

_QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def convert(gguf: Path, folder: Path, progress: Callable[[str], None]) -> None:
    """Raises `ApplyError` with the converter's last line if it fails."""
    argv = [sys.executable, "-m", "finsight_serve_vllm.dequantise", str(gguf), str(folder)]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            argv,
            env={**os.environ, **_QUIET},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            assert process.stdout is not None
            show(steps(process.stdout), progress)
            code = process.wait()
        finally:
            process.kill()
            process.wait()
        if code != 0:
            errors.seek(0)
            last = (errors.read().strip() or f"it ended with code {code}").splitlines()[-1]
            raise ApplyError(f"{gguf.name} could not be converted: {last}")


def steps(lines: Iterator[str]) -> Iterator[tuple[int, str]]:
    """(percent, what) of each line of the converter; other lines are a library's and say nothing to people."""
    for line in lines:
        percent, _, what = line.strip().partition(" ")
        if percent.isdecimal() and what:
            yield int(percent), what


def show(reports: Iterator[tuple[int, str]], progress: Callable[[str], None]) -> None:
    if not sys.stderr.isatty():
        for percent, what in reports:
            progress(f"Preparing the model, once: {what} ({percent} %)")
        return
    with click.progressbar(length=100, label="Preparing the model, once", file=sys.stderr) as bar:
        for percent, _ in reports:
            bar.update(percent - bar.pos)
        bar.update(100 - bar.pos)
