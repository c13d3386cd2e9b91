"""`fs serve`: bring a stack up and keep it as its file says."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import backend_option, file_option, state_dir, state_option

if TYPE_CHECKING:
    from ..controller.facts import StackChosen
    from ..controller.session import Held
    from ..host import Host
    from ..stack import Stack

FIRST_QUESTION = "What is the capital of France?"


@click.command(short_help="Bring a stack up and keep it running")
@file_option
@state_option
@backend_option
@click.option("--detach", is_flag=True, help="Return once it answers, and leave it running.")
def serve(file: Path, state: Path | None, backend: str | None, detach: bool) -> None:
    """Bring up what fs.yaml describes and keep it so.

    Ctrl-C lets open streams end, then stops what was started on this machine; an attached cluster is only left.
    SIGTERM ends the controller alone: traffic goes on, and the next `fs serve` adopts what runs.
    """
    from ..controller.session import hold
    from ..host import Host
    from ..processes import SystemClock
    from ..stack import load_stack
    from .bringup import check_machine, issue_missing_keys, prepare_models

    host = Host()
    stack = load_stack(file, host, backend=backend)
    folder = state_dir(stack.name, state)
    started_s = time.monotonic()
    with hold(folder) as held:
        check_machine(file, stack, host, folder)
        chosen = prepare_models(stack, host, folder, _say)
        keys = issue_missing_keys(held, stack, SystemClock())
        for tenant, key in keys.items():
            click.echo(f"API key of tenant {tenant}, shown this once and stored hashed: {key}")
        if not detach:
            _run_here(held, host, chosen, lambda: _welcome(stack, folder, chosen, keys, started_s))
            return
    _run_detached(file, folder, backend)
    _welcome(stack, folder, chosen, keys, started_s)


def _run_here(held: "Held", host: "Host", chosen: "StackChosen", on_ready: Callable[[], None]) -> None:
    import anyio

    from ..controller.session import run_controller
    from ..processes import SystemClock

    failed = anyio.run(partial(run_controller, held, host, (chosen,), SystemClock(), say=_say, on_ready=on_ready))
    if failed:
        click.echo(f"fs: {failed}", err=True)
        sys.exit(1)


def _run_detached(file: Path, folder: Path, backend: str | None) -> None:
    """Starts the same command in the background and shows its log until it answers."""
    from ..controller.client import Client
    from ..processes import SystemProcesses

    log = folder / "logs" / "controller.log"
    argv = [sys.executable, "-m", "finsight_serve", "serve", "--file", str(file.resolve()), "--state", str(folder)]
    processes = SystemProcesses()
    seen_from = log.stat().st_size if log.exists() else 0
    controller = processes.start(argv + (["--backend", backend] if backend else []), log=log)
    client = Client(folder)
    with log.open() as lines:
        lines.seek(seen_from)
        while not client.is_ready():
            alive = processes.alive(controller)  # asked first, so that its last lines are shown
            click.echo("".join(lines), nl=False)
            if not alive:
                click.echo(f"fs: the controller ended before it was ready; its log is {log}", err=True)
                sys.exit(1)
            time.sleep(0.2)


def _welcome(stack: "Stack", folder: Path, chosen: "StackChosen", keys: Mapping[str, str], started_s: float) -> None:
    from ..host import Host, env_for

    balancer = stack.load_balancer
    env = env_for(folder / "load_balancer", owner="", progress=_say)
    url = Host().build("load_balancer", balancer.plugin, balancer.options, env).url
    tenant = stack.tenants[0]
    model = chosen.served_models[tenant.deployment]
    click.echo(f"Ready in {time.monotonic() - started_s:.0f} s.")
    click.echo(f"  URL    {url}/v1")
    click.echo(f"  Model  {model}")
    if tenant.name in keys:
        click.echo(f"  Key    {keys[tenant.name]}  (tenant {tenant.name}; shown this once)")
    else:
        click.echo(f"  Key    as shown before; `fs tenant rotate {tenant.name}` makes a new one")
    click.echo(f"  Try    {curl_line(url, model, keys.get(tenant.name, '$FS_API_KEY'))}")


def curl_line(url: str, model: str, key: str) -> str:
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": FIRST_QUESTION}]})
    headers = f'-H "Authorization: Bearer {key}" -H "Content-Type: application/json"'
    return f"curl -N {url}/v1/chat/completions {headers} -d '{body}'"


def _say(line: str) -> None:
    click.echo(f"{datetime.now():%H:%M:%S}  {line}")
