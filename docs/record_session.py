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
LONGEST_LINE = 118
BLOCK = re.compile(r"(?<=<!-- session -->\n).*?(?=<!-- /session -->)", re.DOTALL)
KEY = re.compile(r"fs-[\w-]{43}")


def record() -> str:
    with tempfile.TemporaryDirectory(prefix="fs-", dir="/tmp") as folder:  # it holds a unix socket
        env = {
            **os.environ,
            "FS_STATE_DIR": f"{folder}/state",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        try:
            served = run(f"fs serve --backend ray -f {STACK} --detach", env)
            curl = served.partition("  Try    ")[2].strip()
            shown = [
                (f"fs serve --backend ray -f {STACK} --detach", served),
                (curl, run(f"{curl} -sS", env)),
                (f"fs status -f {STACK}", run(f"fs status -f {STACK}", env)),
            ]
        finally:
            shown_last = (f"fs down -f {STACK}", run(f"fs down -f {STACK}", env))
    return "\n".join(f"$ {command}\n{output.rstrip()}\n" for command, output in [*shown, shown_last])


def run(command: str, env: dict[str, str]) -> str:
    done = subprocess.run(command, shell=True, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{KEY.sub('fs-…', command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def fit(session: str) -> str:
    """Keys shortened, empty lines between the stream's events left out, long lines cut."""
    lines = re.sub(r"(?<=\n)(data: .*\n)\n(?=data: )", r"\1", KEY.sub("fs-…", session)).splitlines()
    return "\n".join(line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…" for line in lines)


def main() -> None:
    block = f"\n```console\n{fit(record())}\n```\n\n"
    README.write_text(BLOCK.sub(lambda _: block, README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
