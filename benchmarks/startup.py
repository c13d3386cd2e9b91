"""How long commands take that start nothing: wall time of the process, as a shell sees it."""

import subprocess
import sys
import time
from pathlib import Path

from .figures import CommandRow, command_rows

RUNS = 25
BASELINE = "python -c pass"


def measure(runs: int = RUNS) -> list[CommandRow]:
    """One after the other, over and over, so that noise meets them all. The first round only fills the caches."""
    fs = str(Path(sys.executable).with_name("fs"))
    commands = {
        BASELINE: [sys.executable, "-c", "pass"],
        "fs --help": [fs, "--help"],
        "fs plugins list": [fs, "plugins", "list"],
    }
    walls_s: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs + 1):
        for name, argv in commands.items():
            start_s = time.perf_counter()
            subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
            walls_s[name].append(time.perf_counter() - start_s)
    return command_rows({name: walls[1:] for name, walls in walls_s.items()}, baseline=BASELINE)
