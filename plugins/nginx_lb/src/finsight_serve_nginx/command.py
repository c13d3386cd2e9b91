"""The command line that nginx is tested and started with."""

import grp
import os
import pwd
from pathlib import Path

from . import binary

CURRENT = "current/nginx.conf"


def build_argv(state_dir: Path, configured: Path | None, configuration: str, *flags: str) -> list[str]:
    """`configuration`: its path within the folder. Raises `ValueError` where no nginx can be run."""
    found = binary.find(configured)
    if found is None:
        raise ValueError(f"no nginx on this machine: {binary.FIX}")
    try:
        build = binary.inspect(found)
    except ValueError as error:
        raise ValueError(f"{error}: {binary.FIX}") from error
    directives = f"load_module {build.njs_module};" if build.njs_module else ""
    if os.geteuid() == 0:
        # workers reopen the ledger, and no other user may enter the state folder
        directives += f" user {pwd.getpwuid(0).pw_name} {grp.getgrgid(os.getegid()).gr_name};"
    folder = str(state_dir)
    nginx = [str(found), "-p", folder, "-e", "logs/error.log", "-c", configuration]
    # the socket's path is relative to the working directory, which also marks the processes as ours
    enter = ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", folder]
    return [*enter, *nginx, "-g", f"{directives} daemon off;", *flags]
