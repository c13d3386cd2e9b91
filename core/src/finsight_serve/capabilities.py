"""What a plugin may be asked for beside its own role, by attribute: one that lacks it is left out.

By `forms` an `Exporter`, by `adoptable` an `Adopter`, by `scrape_jobs`, `alerts` or `dashboards` one that is
`Monitored`, by `drill_options` or `head` one that is `Drilled`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from .domain import Alert, Dashboard, ScrapeJob
from .env import ProcessId
from .plugin import Plan


@dataclass(frozen=True)
class ControllerHost:
    """What a controller needs to run inside the orchestrator itself."""

    image: str  # has `fs` and the plugins that the file names
    stack_file: str  # fs.yaml's text
    stack: str  # its name
    port: int  # where its load balancer listens
    host: str = ""  # the name by which clients reach it; "": any
    metrics_port: int = 0  # where Prometheus reads the controller; 0: nowhere


class Exporter(Protocol):
    """An orchestrator whose plans people may apply by their own means; asked for by attribute."""

    forms: ClassVar[Mapping[str, str]]  # name → what it is: "kustomize": "a folder for `kubectl apply -k`"

    def export(self, plan: Plan, form: str, controller: ControllerHost | None) -> Mapping[str, str]:
        """Pure. Relative path → text; one path "" for a form that is a single stream of text."""
        ...


class Adopter(Protocol):
    """An orchestrator that can take over what was set up by other means; asked for by attribute."""

    async def adoptable(self, plan: Plan) -> Mapping[str, str]:
        """Artefact → whose it is now, for each that runs and isn't `env.owner`'s. Raises `ApplyError`."""
        ...

    async def adopt(self, plan: Plan) -> None:
        """Makes all of them `env.owner`'s, changing nothing else. Raises `ApplyError`."""
        ...


class Monitored(Protocol):
    """A plugin that Prometheus can read at a place of its own; each of the three is asked for by attribute.

    An engine is read by way of the controller, and may have dashboards alone.
    """

    alerts: ClassVar[Sequence[Alert]]  # by series that are its own; a backend's bear the labels `stack` and `backend`
    dashboards: ClassVar[Sequence[Dashboard]]  # of the same; an engine's bear `stack`, `deployment` and `replica`

    def scrape_jobs(self) -> Sequence[ScrapeJob]:
        """Where its processes are, or would be, read. Starts and changes nothing."""
        ...


@dataclass(frozen=True)
class Scratch:
    """What a drill asks of the plugins that its scratch service is made of; each takes what is its own."""

    listen: str  # host:port of the endpoint
    metrics_listen: str  # host:port where Prometheus reads the load balancer
    certificate: str = ""  # PEM files; "": plain HTTP
    certificate_key: str = ""
    cold_start_s: float = 0.0  # of an engine, as all that follows
    token_interval_s: float = 0.0
    max_running: int = 256  # requests in work at a time; more wait
    fails: str = ""  # a replica ends while it loads, with these last words


class Drilled(Protocol):
    """A plugin that `fs drill` can make a scratch service of; each of the two is asked for by attribute."""

    @staticmethod
    def drill_options(scratch: Scratch) -> Mapping[str, Any]:
        """Its options. An engine that has this serves any model's name, and takes no time to speak of to load."""
        ...

    def head(self) -> ProcessId | None:
        """Of an orchestrator: the process whose loss is that of its head; None while there is none."""
        ...
