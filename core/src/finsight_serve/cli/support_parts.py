"""The parts of `fs support-bundle`: what each looks at, and under which names it stands in the bundle."""

import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from .. import __version__
from ..controller.client import Client
from ..controller.state import LOAD_BALANCER
from ..errors import UserError
from ..plugin import Actuator, Artefact, Observed
from ..store import Ledger, Store
from ..support.known import (
    known_of_artefacts,
    known_of_environment,
    known_of_files,
    known_of_options,
    known_of_settings,
    known_of_state,
    named_secret_files,
    plugins_of,
    secret_files,
)
from ..support.logs import Log, find_logs, newest_first, read_log
from ..support.parts import Found, Missing, Part, Text, Value, look
from .options import say_nothing
from .stored import stored_owner, stored_state, stored_status, was_served
from .times import iso_time

Say = Callable[[str], None]
NEWEST = 5_000
"""Events, and entries of the audit."""
RECENT_S = {"last_hour": 3600.0, "last_day": 86_400.0}
LONGER_S = 60.0
"""For what imports engines, and for what is made of many parts with deadlines of their own."""


def secret_parts(file: Path, folder: Path) -> tuple[Part, ...]:
    """All that is known to be secret. Where one of these is missing, what is secret is not known for sure."""
    return (
        Part("secrets of the environment", lambda: [known_of_environment(os.environ)]),
        Part("secrets of the controller's environment", lambda: _secrets_of_controller(folder)),
        Part(f"secrets of {file}", lambda: _secrets_of_file(file)),
        Part("secrets of the state", lambda: _secrets_of_state(folder)),
        Part("secrets that plugins declare", lambda: _declared_secrets(file, folder)),
        Part("secret files of the state", lambda: [known_of_files(secret_files(folder))]),
    )


def parts(file: Path, folder: Path, state: Path | None, now_s: float, say: Say) -> tuple[Part, ...]:
    """`state`: as it was given."""
    return (
        Part("versions", _versions),
        Part("configuration", lambda: _configuration(file, folder)),
        Part("status", lambda: _status(folder)),
        Part("metrics", lambda: _metrics(folder)),
        Part("events and audit", lambda: _history(folder)),
        Part("routes", lambda: _routes(folder)),
        Part("ledger", lambda: _ledger(folder, now_s)),
        Part("backends and load balancer", lambda: _actuators(folder, say), LONGER_S * 5),
        Part("doctor", lambda: _doctor(file, folder, state), LONGER_S),
        Part("logs", lambda: _logs(folder, say), LONGER_S),
    )


def _secrets_of_controller(folder: Path) -> Iterator[Found]:
    """Engines have it from there, and may tell of it in their logs."""
    import psutil

    try:
        pid = int((folder / "controller.lock").read_text().removeprefix("pid "))
        yield known_of_environment(psutil.Process(pid).environ())
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return


def _secrets_of_file(file: Path) -> Iterator[Found]:
    if file.exists():
        from ..stack.document import read_document

        settings = read_document(file).data
        yield known_of_settings(settings)
        yield known_of_files(named_secret_files(settings))


def _secrets_of_state(folder: Path) -> Iterator[Found]:
    if was_served(folder):
        durable = stored_state(folder).durable
        yield known_of_state(durable)
        yield known_of_files(named_secret_files(asdict(durable.stack) if durable.stack else {}))


def _declared_secrets(file: Path, folder: Path) -> Iterator[Found]:
    from ..host import Host
    from ..stack import load_stack

    host = Host()
    stacks = [stored_state(folder).durable.stack] if was_served(folder) else []
    if file.exists():
        stacks.append(load_stack(file, host))
    for stack in filter(None, stacks):
        for kind, ref in plugins_of(stack):
            yield known_of_options(ref.options, host.load(kind, ref.plugin).Options.model_json_schema())


def _versions() -> Iterator[Found]:
    from importlib.metadata import distributions

    import psutil

    from ..host import Host

    yield Value(
        "versions.json",
        {
            "finsight-serve": __version__,
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "os": platform.platform(),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "distributions": sorted(f"{found.name} {found.version}" for found in distributions()),
        },
    )
    yield Value("plugins.json", [asdict(row) for row in Host().installed()])


def _configuration(file: Path, folder: Path) -> Iterator[Found]:
    """The file as it is read, what it comes to, and what was served last."""
    from ..host import Host
    from ..stack import load_stack
    from ..stack.document import read_document

    if was_served(folder):
        stack = stored_state(folder).durable.stack
        yield Value("configuration/served.json", asdict(stack) if stack else None)
    if not file.exists():
        yield Missing("configuration/file.json", f"{file}: no such file")
        return
    yield Value("configuration/file.json", read_document(file).data)
    try:
        yield Value("configuration/loaded.json", asdict(load_stack(file, Host())))
    except UserError as error:
        yield Missing("configuration/loaded.json", str(error))


def _status(folder: Path) -> Iterator[Found]:
    from .output import render
    from .status import sections

    try:
        status = Client(folder).status()
        without = "not running"
    except UserError as error:
        yield Missing("the running controller's status", f"{error}; status.json is what was stored last")
        status, without = None, "does not answer"
    if status is None:
        status = replace(stored_status(folder), controller=without)
    yield Value("status.json", json.loads(render(list(sections(status)), "json")))


def _metrics(folder: Path) -> Iterator[Found]:
    metrics = Client(folder).metrics()
    yield Missing("metrics.txt", "no controller runs") if metrics is None else Text("metrics.txt", metrics)


def _history(folder: Path) -> Iterator[Found]:
    durable = stored_state(folder).durable
    with closing(Store(folder, read_only=True)) as store:
        events = store.events(last=NEWEST)
        yield Value("events.json", [_dated(asdict(event)) for event in events], _newest(len(events), "events"))
        entries = store.audit(last=NEWEST)
        yield Value("audit.json", [_dated(asdict(entry)) for entry in entries], _newest(len(entries), "entries"))
    yield Value("migrations.json", {id: asdict(migration) for id, migration in durable.migrations.items()})


def _dated(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"at": iso_time(row["at_s"]), **row}


def _newest(count: int, what: str) -> str:
    return f"the newest {NEWEST:,} {what}" if count == NEWEST else ""


def _routes(folder: Path) -> Iterator[Found]:
    from ..controller.routing import route_table
    from .route import route_rows

    state = stored_state(folder)
    table = asdict(replace(route_table(state), upstream_keys={}))
    yield Value("routes.json", {"table": table, "tenants": list(route_rows(state))})


def _ledger(folder: Path, now_s: float) -> Iterator[Found]:
    """Counts alone: which requests there were is in `fs ledger --export`."""
    stored_state(folder)
    with closing(Ledger(folder, read_only=True)) as ledger:
        totals = {"ever": [asdict(row) for row in ledger.totals()]}
        for since, period_s in RECENT_S.items():
            totals[since] = [asdict(row) for row in ledger.totals(since_s=now_s - period_s)]
    yield Value("ledger.json", totals)


def _actuators(folder: Path, say: Say) -> Iterator[Found]:
    state = stored_state(folder)
    stack = state.durable.stack
    if stack is None:
        yield Missing("artefacts", "nothing was served yet")
        return
    names = {LOAD_BALANCER: "load balancer"}
    names |= {name: f"backend {name}" for name in {**state.durable.retired, **stack.backends}}
    each = (Part(title, partial(_actuator, folder, name, title), 2 * LOOK_S) for name, title in names.items())
    yield from look(each, say)


LOOK_S = 20.0


def _actuator(folder: Path, name: str, title: str) -> Iterator[Found]:
    """What it would be told now, and what it says is in force."""
    import anyio

    from ..controller.assembly import build_parts
    from ..controller.facts import Seen
    from ..controller.planning import look_once
    from ..controller.want import want
    from ..host import Host

    state = stored_state(folder)
    durable, place = state.durable, title.replace(" ", "-")
    assert durable.stack is not None
    built = build_parts(durable.stack, durable.retired, Host(), folder, stored_owner(folder), say_nothing)
    actuator: Actuator[Any] = built.load_balancer if name == LOAD_BALANCER else built.orchestrators[name]
    wants = want(state)
    wanted = wants.routes if name == LOAD_BALANCER else wants.backends.get(name)
    if wanted is not None:
        yield from _artefacts(f"{place}/planned", actuator.compile(wanted).artefacts)
    seen = anyio.run(look_once, name, actuator)
    if not isinstance(seen, Seen):
        yield Missing(f"{place}: what is in force", seen.reason)
        return
    yield Value(f"{place}/observed.json", _observed(seen.observed))
    yield from _artefacts(f"{place}/in-force", seen.observed.in_force or ())


def _observed(seen: Observed) -> Mapping[str, Any]:
    streams = seen.open_streams
    return {
        "replicas": [asdict(replica) for replica in seen.replicas],
        "refs": seen.refs,
        "notes": seen.notes,
        "open_streams": None if streams is None else [[*whose, count] for whose, count in streams.items()],
        "in_force": None if seen.in_force is None else [artefact.name for artefact in seen.in_force],
    }


def _artefacts(place: str, artefacts: tuple[Artefact, ...]) -> Iterator[Found]:
    yield known_of_artefacts(artefacts)
    for one in artefacts:
        path = f"{place}/{one.name}"
        if one.secret:
            yield Missing(path, "it is secret")
        else:
            yield Text(path, one.body) if isinstance(one.body, str) else Value(path, one.body)


def _doctor(file: Path, folder: Path, state: Path | None) -> Iterator[Found]:
    from ..host import Host
    from .bringup import machine_problems
    from .doctor import look_at_installation, look_at_stack

    yield Value("doctor/installation.json", [asdict(finding) for finding in look_at_installation()])
    if file.exists():
        yield Value("doctor/stack.json", [asdict(finding) for finding in look_at_stack(file, state)])
    elif (stack := stored_state(folder).durable.stack) is not None:
        yield Value("doctor/stack.json", [asdict(one) for one in machine_problems(stack, Host(), folder)])


def _logs(folder: Path, say: Say) -> Iterator[Found]:
    found = list(find_logs(folder))
    taken, left = newest_first([one for one in found if isinstance(one, Log)])
    yield from (one for one in chain(found, left) if isinstance(one, Missing))
    if not taken:
        yield Missing("logs", f"{folder}: there are no logs yet")
    yield from look((Part(log.label, partial(_log, log), LOG_S) for log in taken), say)


LOG_S = 5.0


def _log(log: Log) -> Iterator[Found]:
    yield read_log(log)
