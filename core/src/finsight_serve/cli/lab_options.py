"""Options of the commands that judge a policy in the lab: which trace, which replica, which backends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError

if TYPE_CHECKING:
    from ..host import Host
    from ..lab.measurement import Measurement
    from ..lab.service import ServiceModel
    from ..lab.trace import Trace
    from ..plugin import ControlLoop

policy_option = click.option(
    "--policy",
    "reference",
    default="fs.yaml",
    show_default=True,
    metavar="REF",
    help="module:NAME, fs.yaml or fs.yaml:DEPLOYMENT.",
)


class Numbers(click.ParamType):  # type: ignore[type-arg]
    """`1,2,6-10` → (1, 2, 6, 7, 8, 9, 10)."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        found: list[int] = []
        for part in str(value).split(","):
            first, dash, last = part.strip().partition("-")
            if not first.isdecimal() or (dash and not (last.isdecimal() and int(first) <= int(last))):
                self.fail(f"{value!r} is no list of numbers as 0,1,6-10", param, ctx)
            found += range(int(first), int(last or first) + 1)
        return tuple(found)


def trace_options(*, required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--trace` and how it is read; the function gets `TraceChoice` as `trace`."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def command(
            *args: Any,
            trace: Path | None,
            starts: str | None,
            timezone: str,
            clients: tuple[int, ...] | None,
            per_client_per_day: float | None,
            trace_seed: int,
            **options: Any,
        ) -> Any:
            choice = TraceChoice(trace, starts, timezone, clients, per_client_per_day, trace_seed) if trace else None
            return function(*args, trace=choice, **options)

        for option in reversed(
            (
                click.option(
                    "--trace",
                    required=required,
                    type=click.Path(path_type=Path, dir_okay=False),
                    metavar="FILE",
                    help="Recorded load: a CSV file of arrivals.",
                ),
                click.option("--starts", metavar="DATE", help="The date of its day 0, as 2026-03-31."),
                click.option("--timezone", default="UTC", show_default=True, help="Where that day begins at midnight."),
                click.option(
                    "--clients", type=Numbers(), metavar="N,…", help="Of ServeGen's client rates, only these."
                ),
                click.option(
                    "--per-client-per-day",
                    type=click.FloatRange(min=0, min_open=True),
                    metavar="N",
                    help="Of ServeGen's client rates: scaled to so many requests a day for each client.",
                ),
                click.option("--trace-seed", default=0, show_default=True, help="Of arrivals drawn from client rates."),
            )
        ):
            command = option(command)
        return command

    return add


@dataclass(frozen=True)
class TraceChoice:
    path: Path
    starts: str | None
    timezone: str
    clients: tuple[int, ...] | None
    per_client_per_day: float | None
    seed: int

    def read(self, days: tuple[int, ...] | None = None) -> "Trace":
        """Raises `UserError`."""
        from ..lab.trace import read_trace

        return read_trace(
            self.path,
            starts=self.starts,
            timezone=self.timezone,
            days=days,
            clients=self.clients,
            per_client_per_day=self.per_client_per_day,
            seed=self.seed,
        )


def service_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--service` and its numbers one by one; the function gets `ServiceChoice` as `service`."""

    @wraps(function)
    def command(
        *args: Any,
        service: Path | None,
        service_s: float | None,
        max_concurrency: int | None,
        cold_start_s: float | None,
        **options: Any,
    ) -> Any:
        numbers = {"service_s": service_s, "max_concurrency": max_concurrency, "cold_start_s": cold_start_s}
        return function(*args, service=ServiceChoice(service, numbers), **options)

    for option in reversed(
        (
            click.option(
                "--service",
                type=click.Path(path_type=Path, dir_okay=False),
                metavar="FILE",
                help="One replica as measured by `fs bench capacity --save`.",
            ),
            click.option(
                "--service-s", type=click.FloatRange(min=0, min_open=True), help="Instead: how long a request takes."
            ),
            click.option("--max-concurrency", type=click.IntRange(1), help="Instead: requests in work at a time."),
            click.option("--cold-start-s", type=click.FloatRange(min=0), help="Instead: from ordered to ready."),
        )
    ):
        command = option(command)
    return command


@dataclass(frozen=True)
class ServiceChoice:
    path: Path | None
    numbers: Mapping[str, Any]

    def read(self) -> "tuple[ServiceModel, Measurement | None]":
        """The replica, and what was measured of it. Raises `UserError`."""
        from ..lab.measurement import read_measurement
        from ..lab.service import ServiceModel

        measured = read_measurement(self.path) if self.path is not None else None
        names = ("service_s", "max_concurrency", "cold_start_s")
        from_file = {name: getattr(measured, name) for name in names} if measured else {}
        given = {name: value for name, value in self.numbers.items() if value is not None}
        chosen = {name: value for name, value in {**from_file, **given}.items() if value is not None}
        return ServiceModel(**chosen), measured

    def cold_start_s(self, measured: "Measurement | None") -> float | None:
        """As given or measured; None where it is only assumed."""
        given = self.numbers["cold_start_s"]
        return given if given is not None else measured.cold_start_s if measured else None


def choose_loops(host: "Host", chosen: tuple[str, ...]) -> "Mapping[str, ControlLoop]":
    """Of the backends named, or of all that can be simulated. Raises `UserError`."""
    names = chosen or host.names("orchestrator")
    loops = {name: loop for name in names if (loop := host.control_loop(name)) is not None}
    if missing := [name for name in chosen if name not in loops]:
        known = [name for name in host.names("orchestrator") if host.control_loop(name) is not None]
        raise UserError(f"backend {missing[0]} has no control loop to simulate; there are {', '.join(known) or 'none'}")
    if not loops:
        raise UserError("no installed orchestrator has a control loop to simulate; `fs plugins list` shows what is")
    return loops
