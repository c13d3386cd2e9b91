"""`fs state`: the state folder's backup."""

from pathlib import Path

import click

from .options import file_option, named_state_dir, state_option


@click.group(short_help="Back the state up, or put a backup back")
def state() -> None:
    """The state is what a controller must know after a restart: stack, key hashes, evictions, events, ledger."""


@state.command(short_help="Write a copy of the state, also while a controller runs")
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@file_option
@state_option
def backup(target: Path, file: Path, state: Path | None) -> None:
    """Write the state and the ledger to the archive TARGET, readable by you only: it holds the replicas' keys."""
    from ..store.archive import write_archive

    write_archive(named_state_dir(file, state), target)
    click.echo(f"Wrote {target}.")


@state.command(short_help="Put a backup back, while no controller runs")
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@file_option
@state_option
def restore(source: Path, file: Path, state: Path | None) -> None:
    """Replace the state by the archive SOURCE. What was there is kept beside it, as *.replaced."""
    from ..store.archive import read_archive

    folder = named_state_dir(file, state)
    read_archive(source, folder)
    click.echo(f"Restored {folder}.")
