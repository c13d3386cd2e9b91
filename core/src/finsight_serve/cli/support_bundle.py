"""`fs support-bundle`: what a bug report needs, in one file."""

import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UserError
from .main import COMMANDS
from .options import check_writable, file_option, named_state_dir, state_option

if TYPE_CHECKING:
    from ..support.parts import Found

SUFFIX = ".tar.gz"
SOON_DONE = 4_000_000
"""Characters that take less than 2 s."""


@click.command("support-bundle", short_help=COMMANDS["support-bundle"])
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar=f"FILE{SUFFIX}",
    help=f"Where to. [default: fs-support-STACK-TIME{SUFFIX} in this folder]",
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@file_option
@state_option
def support_bundle(output: Path | None, force: bool, file: Path, state: Path | None) -> None:
    """Collect versions, settings, status, events, counts and the last lines of all logs into one file for a bug report.

    Keys, tokens and passwords are removed, and no prompt or answer is in it. Names of tenants, models and machines are:
    look through it before you send it. What can't be had is left out, and manifest.json says why.
    """
    from ..processes import SystemClock
    from ..support.bundle import drafted, members, redactor_for
    from ..support.parts import Missing, look
    from .support_parts import parts, secret_parts

    folder = named_state_dir(file, state)
    _check_there_is_a_stack(file, folder)
    if output is not None:
        _check_target(output, force)
    now_s = SystemClock().now()
    with drafted(output.absolute().parent if output else Path.cwd()) as draft:
        secrets = list(look(secret_parts(file, folder), _say))
        is_sure = not any(isinstance(one, Missing) for one in secrets)
        found = [*secrets, *look(parts(file, folder, state, now_s, _say), _say)]
        name = _stack_name(found) or folder.name
        target = output or Path(f"fs-support-{re.sub('[^a-z0-9-]', '-', name)}-{_utc(now_s):%Y%m%dT%H%M%SZ}{SUFFIX}")
        about = {"made": f"{_utc(now_s):%Y-%m-%dT%H:%M:%SZ}", "stack": name, "state": str(folder), "sure": is_sure}
        _say_if_long(found)
        try:
            count = draft.write(members(found, redactor_for(found, is_sure=is_sure), about), now_s)
            draft.publish(target, force=force)
        except FileExistsError:
            raise _exists(target) from None
        except OSError as error:
            raise UserError(f"{target}: can't be written ({error.strerror}); choose another with -o FILE") from error
    missing = sum(isinstance(one, Missing) for one in found)
    click.echo(f"Wrote {target}: {count} files; manifest.json says what is missing ({missing}) and why.")
    click.echo("Secrets that are known were removed; look through it before you send it.")
    if any(isinstance(one, Missing) and one.hangs for one in found):
        _leave()


def _check_there_is_a_stack(file: Path, folder: Path) -> None:
    from .stored import was_served

    if not file.exists() and not was_served(folder):
        raise UserError(f"{file}: no such file, and nothing was served from {folder}; give -f FILE or --state DIR")


def _check_target(output: Path, force: bool) -> None:
    if not output.name.endswith(SUFFIX):
        raise UserError(f"-o: the file's name must end in {SUFFIX}, found {output.name}")
    check_writable(output)
    if output.is_dir():
        raise UserError(f"{output}: is a folder; give another name with -o FILE")
    if not force and os.path.lexists(output):
        raise _exists(output)


def _exists(target: Path) -> UserError:
    return UserError(f"{target}: is there already; --force replaces it")


def _stack_name(found: "Sequence[Found]") -> str:
    """As it is served, or would be; "" where neither is known."""
    from ..support.parts import Value

    values = {one.path: one.value for one in found if isinstance(one, Value)}
    if "status.json" in values:
        return str(values["status.json"]["stack"]["name"])
    return str(values.get("configuration/loaded.json", {}).get("name", ""))


def _say_if_long(found: "Sequence[Found]") -> None:
    from ..support.parts import Text

    size = sum(len(one.text) for one in found if isinstance(one, Text))
    if size > SOON_DONE:
        _say(f"removing secrets from {size / 1e6:.0f} MB of logs")


def _utc(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


def _say(line: str) -> None:
    click.echo(f"{datetime.now():%H:%M:%S}  {line}", err=True)


def _leave() -> None:
    """Without waiting for threads that hang: the interpreter would, for those of a database or an event loop."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
