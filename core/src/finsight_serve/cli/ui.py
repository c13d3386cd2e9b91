"""`fs ui`: the stack as a page in the browser."""

from functools import partial
from pathlib import Path

import click

from ..errors import UserError
from .options import file_option, named_state_dir, state_option

DEFAULT_PORT = 9470


@click.command(short_help="The stack as a live page in the browser, on loopback")
@file_option
@state_option
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, metavar="N", help="0: a free one."
)
@click.option("--listen", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where it listens.")
@click.option("--allow-remote", is_flag=True, help="Let --listen be an address that others may reach: there is no key.")
@click.option("--open", "opens", is_flag=True, help="Open it in this machine's browser.")
def ui(file: Path, state: Path | None, port: int, listen: str, allow_remote: bool, opens: bool) -> None:
    """Show deployments, replicas, load, tenants, migrations with their ledger, breakers and events, as they change.

    The page reads what `fs status` reads and changes nothing. It needs no controller: without one it shows what was
    stored last. Ctrl-C ends the page; the stack goes on.
    """
    import anyio

    from ..processes import SystemClock
    from ..ui.guard import Hosts
    from ..ui.listener import bind, port_of
    from ..ui.serving import serve_page
    from .stored import was_served

    folder = named_state_dir(file, state)
    if not was_served(folder):
        raise UserError(f"{folder}: nothing was served from this state folder yet; start with `fs serve`")
    listener = bind(listen, port, allow_remote=allow_remote)
    hosts = Hosts(port_of(listener), listen, is_remote=allow_remote)
    url = hosts.url
    if allow_remote:
        click.echo(f"Whoever reaches {listen} can read this stack's state: there is no key.", err=True)
    click.echo(url)
    click.echo("Ctrl-C ends the page; the stack goes on.", err=True)
    if opens:
        click.launch(url)
    anyio.run(partial(serve_page, folder, listener, hosts, SystemClock()))
