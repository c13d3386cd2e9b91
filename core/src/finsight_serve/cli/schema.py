"""`fs schema`: what editors complete and check fs.yaml with."""

import json

import click


@click.command(short_help="Print the JSON Schema of fs.yaml")
def schema() -> None:
    """Print the JSON Schema of fs.yaml, with the installed plugins' options.

    Plugins that can't be loaded are left out, and named on stderr.
    """
    from ..host import Host
    from ..stack import schema as build

    found = build(Host(), lambda line: click.echo(f"fs: left out: {line}", err=True))
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))
