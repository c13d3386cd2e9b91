"""Where exports go: a stream to stdout, several files into a folder that remembers which of its files are exports."""

import json
from collections.abc import Mapping
from pathlib import Path

import click

from ..errors import UserError

LISTING = ".finsight-export"
"""Names the files of the last export, so that the next one removes those that it lacks, and nothing else."""


def write(files: Mapping[str, str], form: str, to: Path | None, force: bool) -> None:
    """Raises `UserError` where the folder holds what is nobody's export; `OSError`."""
    if list(files) == [""]:
        if to is not None:
            raise UserError(f"-o {form} is one stream: leave --to out and send it to a file")
        click.echo(files[""], nl=False)
        return
    if to is None:
        raise UserError(f"-o {form} is several files: say where they go with --to DIR")
    earlier = _earlier(to, force)
    to.mkdir(parents=True, exist_ok=True)
    _remember(to, earlier | set(files))  # before anything else, so that what is interrupted can be done again
    for name, text in files.items():
        path = to / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name in sorted(earlier - set(files)):
        (to / name).unlink(missing_ok=True)
    _remember(to, set(files))
    click.echo(f"Wrote {len(files)} files into {to}.", err=True)


def _earlier(to: Path, force: bool) -> set[str]:
    """The files of the last export into this folder."""
    if to.exists() and not to.is_dir():
        raise UserError(f"{to}: is no folder")
    listing = to / LISTING
    if listing.exists():
        try:
            return {name for name in json.loads(listing.read_text(encoding="utf-8")) if _is_inside(name)}
        except (ValueError, TypeError) as error:
            raise UserError(f"{listing}: can't be read as a list of files; remove it and add --force") from error
    if to.exists() and any(to.iterdir()) and not force:
        raise UserError(f"{to}: holds files that are no earlier export; choose another folder, or add --force")
    return set()


def _is_inside(name: str) -> bool:
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _remember(to: Path, names: set[str]) -> None:
    (to / LISTING).write_text(json.dumps(sorted(names), indent=2) + "\n", encoding="utf-8")
