"""The line that `fs serve` prints for people to try."""

import shlex
import subprocess
from shutil import which

import httpx


def send_printed(output: str) -> list[str]:
    """Runs the printed line as a shell does, or sends the same request where the machine has no curl: its events."""
    line = next(line for line in output.splitlines() if line.startswith("  Try "))
    command = line.removeprefix("  Try ").strip()
    program, unbuffered, url, *options = shlex.split(command)
    assert (program, unbuffered) == ("curl", "-N")
    if which("curl"):
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        text = done.stdout
    else:
        pairs = list(zip(options[::2], options[1::2], strict=True))
        headers = dict(value.split(": ", 1) for flag, value in pairs if flag == "-H")
        (body,) = (value for flag, value in pairs if flag == "-d")
        text = httpx.post(url, headers=headers, content=body, timeout=120, trust_env=False).text
    return [event for event in text.splitlines() if event.startswith("data: ")]
