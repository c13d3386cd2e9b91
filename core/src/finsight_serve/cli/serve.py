"""`fs serve`: bring a stack up and keep it as its file says."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .log_lines import FORMATS, Log, log_in
from .options import (
    TAKES_BACKEND_FLAGS,
    backend_flags,
    backend_option,
    file_option,
    say_nothing,
    state_dir,
    state_option,
)

if TYPE_CHECKING:
    from ..controller.facts import StackChosen
    from ..controller.session import Held
    from ..host import Host
    from ..stack import Stack

FIRST_QUESTION = "What is the capital of France?"


@click.command(short_help="Bring a stack up and keep it running", context_settings=TAKES_BACKEND_FLAGS)
@file_option
@state_option
@backend_option
@click.option("--detach", is_flag=True, help="Return once it answers, and leave it running.")
@click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    envvar="FS_LOG_FORMAT",
    default="text",
    show_default=True,
    help="How the controller logs: lines, or a JSON object a line.",
)
@click.option("--no-greeting", is_flag=True, hidden=True)  # of the process behind --detach, and of a pod
@backend_flags
def serve(
    file: Path,
    state: Path | None,
    backend: str | None,
    backend_flags: tuple[str, ...],
    detach: bool,
    log_format: str,
    no_greeting: bool,
) -> None:
    """Bring up what fs.yaml describes and keep it so.

    An option of a backend may be given here: --NAME-OPTION VALUE, as in --backend NAME --NAME-address URL.

    Ctrl-C lets open streams end, then stops what was started on this machine; an attached cluster is only left.
    SIGTERM ends the controller alone: traffic goes on, and the next `fs serve` adopts what runs.
    """
    from ..controller.session import hold
    from ..host import Host
    from ..processes import SystemClock
    from ..stack import load_stack
    from .backend_flags import parse_backend_flags
    from .bringup import check_machine, issue_missing_keys, prepare_models

    host = Host()
    overrides = parse_backend_flags(backend_flags, host.names("orchestrator"))
    stack = load_stack(file, host, backend=backend, overrides=overrides)
    folder = state_dir(stack.name, state)
    log = log_in(log_format)
    started_s = time.monotonic()
    with hold(folder) as held:
        check_machine(file, stack, host, folder, say_nothing if detach else log.say)  # whoever is started says it too
        chosen = prepare_models(stack, host, folder, log.say)
        # who is not greeted has keys already, or gets them by `fs tenant rotate`: a pod's log is no place for them
        keys = {} if no_greeting else issue_missing_keys(held, stack, SystemClock())
        greeting = Greeting(stack, folder, chosen, keys, started_s)
        if not detach:
            with greeting.keys_shown_at_last():
                _end_if(_run_here(held, host, chosen, log, (lambda: None) if no_greeting else greeting.show))
            return
    with greeting.keys_shown_at_last():
        _end_if(_run_detached(file, folder, backend, log_format, backend_flags))
        greeting.show()


def _run_here(held: "Held", host: "Host", chosen: "StackChosen", log: Log, on_ready: Callable[[], None]) -> str | None:
    """Returns why the start failed, or None after an orderly end."""
    import anyio

    from ..controller.session import run_controller
    from ..processes import SystemClock

    run = partial(run_controller, held, host, (chosen,), SystemClock(), say=log.say, tell_of=log.tell)
    return anyio.run(partial(run, on_ready=on_ready))


def _run_detached(
    file: Path, folder: Path, backend: str | None, log_format: str, backend_flags: tuple[str, ...]
) -> str | None:
    """Starts the same command in the background and shows its log until it answers. Returns why it does not."""
    from ..controller.client import Client
    from ..processes import SystemProcesses

    log = folder / "logs" / "controller.log"
    argv = [sys.executable, "-m", "finsight_serve", "serve", "--file", str(file.resolve()), "--state", str(folder)]
    argv += ["--no-greeting", "--log-format", log_format, *(["--backend", backend] if backend else []), *backend_flags]
    processes = SystemProcesses()
    seen_from = log.stat().st_size if log.exists() else 0
    controller = processes.start(argv, log=log)
    client = Client(folder)
    with log.open() as lines:
        lines.seek(seen_from)
        while not client.is_ready():
            alive = processes.alive(controller)  # asked first, so that its last lines are shown
            click.echo("".join(lines), nl=False)
            if not alive:
                return f"the controller ended before it was ready; its log is {log}"
            time.sleep(0.2)
        click.echo("".join(lines), nl=False)
    return None


@dataclass
class Greeting:
    """What a person needs to begin: where, which model, with what key."""

    stack: "Stack"
    folder: Path
    chosen: "StackChosen"
    new_keys: Mapping[str, str] = field(repr=False)
    started_s: float
    keys_were_shown: bool = False

    @contextmanager
    def keys_shown_at_last(self) -> Iterator[None]:
        """They hold from now on, whatever goes wrong: an interrupted start shows them too."""
        try:
            yield
        finally:
            self.show_keys()

    def show(self) -> None:
        tenant = self.stack.tenants[0]
        model = self.chosen.served_models[tenant.deployment]
        url = self._url()
        click.echo(f"Ready in {time.monotonic() - self.started_s:.0f} s.")
        click.echo(f"  URL    {url}/v1")
        click.echo(f"  Model  {model}")
        self.show_keys()
        if tenant.name not in self.new_keys:
            click.echo(f"  Key    as shown before; `fs tenant rotate {tenant.name}` makes a new one")
        click.echo(f"  Try    {curl_line(url, model, self.new_keys.get(tenant.name, '$FS_API_KEY'))}")

    def show_keys(self) -> None:
        if self.keys_were_shown:
            return
        self.keys_were_shown = True
        for tenant, key in self.new_keys.items():
            click.echo(f"  Key    {key}  (tenant {tenant}; shown this once, stored hashed)")

    def _url(self) -> str:
        from ..controller.assembly import build_load_balancer
        from ..host import Host

        return build_load_balancer(self.stack, Host(), self.folder, "", say_nothing).url


def _end_if(failed: str | None) -> None:
    if failed is not None:
        click.echo(f"fs: {failed}", err=True)
        sys.exit(1)


def curl_line(url: str, model: str, key: str) -> str:
    question = {"role": "user", "content": FIRST_QUESTION}
    body = json.dumps({"model": model, "stream": True, "temperature": 0, "messages": [question]})
    headers = f'-H "Authorization: Bearer {key}" -H "Content-Type: application/json"'
    return f"curl -N {url}/v1/chat/completions {headers} -d '{body}'"
