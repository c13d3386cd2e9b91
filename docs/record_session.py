"""`python docs/record_session.py`: serves the quickstart for real and puts what was seen into the README.

Takes a minute or two, and port 8000.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
STACK = "examples/quickstart/fs.yaml"
SERVE = f"fs serve --backend ray -f {STACK} --detach"
STATUS = f"fs status -f {STACK} | head -21"
DOWN = f"fs down -f {STACK}"
LONGEST_LINE = 118
FIRST_EVENTS, LAST_EVENTS = 9, 2
BLOCK = re.compile(r"(?<=<!-- session -->\n).*?(?=<!-- /session -->)", re.DOTALL)
KEY = re.compile(r"fs-[\w-]{43}")


def record() -> str:
    with tempfile.TemporaryDirectory(prefix="fs-", dir="/tmp") as folder:  # it holds a unix socket
        env = {
            **os.environ,
            "FS_STATE_DIR": f"{folder}/state",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        outputs = {}
        try:
            served = outputs[SERVE] = run(SERVE, env)
            curl = served.partition("  Try    ")[2].strip()
            outputs[curl] = run(f"{curl} -sS", env)
            outputs[STATUS] = run(STATUS, env)
        finally:
            outputs[DOWN] = run(DOWN, env)
    return "\n".join(f"$ {command}\n{output.rstrip()}\n" for command, output in outputs.items())


def run(command: str, env: dict[str, str], folder: Path = ROOT) -> str:
    done = subprocess.run(command, shell=True, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{KEY.sub('fs-…', command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def fit(session: str) -> str:
    """Keys shortened, most events and the same beginning of each left out, long lines cut."""
    text = KEY.sub("fs-…", session).replace("\n\ndata: ", "\ndata: ")
    text = re.sub(r'(?<=data: {)"id":.*?(?="choices")', "… ", text)
    lines = text.splitlines()
    events = [number for number, line in enumerate(lines) if line.startswith("data: ")]
    left_out = events[FIRST_EVENTS:-LAST_EVENTS]
    if left_out:
        lines[left_out[0] : left_out[-1] + 1] = [f"… ({len(left_out)} more)"]
    return "\n".join(line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…" for line in lines)


def main() -> None:
    block = f"\n```console\n{fit(record())}\n```\n\n"
    README.write_text(BLOCK.sub(lambda _: block, README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
