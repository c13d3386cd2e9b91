"""`fs init`: a first fs.yaml."""

from pathlib import Path

import click


@click.command(short_help="Write a commented fs.yaml")
@click.argument("path", type=click.Path(path_type=Path), default=Path("fs.yaml"))
@click.option("--backend", metavar="NAME", help="The orchestrator; needed where several are installed.")
@click.option("--engine", metavar="NAME", help="The engine; needed where several are installed.")
@click.option("--model", metavar="M", default="smollm2", show_default=True, help="What to serve.")
@click.option("--force", is_flag=True, help="Overwrite a file that exists.")
def init(path: Path, backend: str | None, engine: str | None, model: str, force: bool) -> None:
    """Write a commented fs.yaml to PATH (fs.yaml unless given)."""
    from ..errors import UserError
    from ..host import Host
    from ..stack import template

    if path.exists() and not force:
        raise UserError(f"{path} exists; --force overwrites it")
    text = template(Host(), backend=backend, engine=engine, model=model)
    path.write_text(text, encoding="utf-8")
    click.echo(f"Wrote {path}. Next: fs validate -f {path}, then fs serve -f {path}")
