"""The shape of fs.yaml. The descriptions here are the schema's, the template's and the docs'."""

import re
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ..domain import AutoscalingPolicy, FieldError
from ..domain.breaker import BreakerRules
from ..domain.health import HealthRules
from ..ports import is_loopback, split_listen
from .python_policies import REFERENCE

NAME = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
MAX_NAME = 40
MAX_REQUESTS_PER_S = 10**6
MAX_TOKENS_PER_MINUTE = 10**12
"""Far above what anything serves, and exact wherever it is counted."""

SCHEDULE_EXAMPLE = [{"name": "market-hours", "calendar": {"exchange": "XNYS"}, "min_replicas": 2, "lead_s": "measured"}]


def check_name(name: str) -> str:
    if len(name) > MAX_NAME or not re.fullmatch(NAME, name):
        raise ValueError(f"must be 1 to {MAX_NAME} of a-z, 0-9 and inner hyphens")
    return name


def check_health(rules: HealthRules) -> HealthRules:
    if rules.period_s <= 0:
        raise FieldError("period_s", f"must be greater than 0, found {rules.period_s:g}")
    if rules.failures_before_eviction < 1:
        raise FieldError("failures_before_eviction", f"must be at least 1, found {rules.failures_before_eviction}")
    if not 0 < rules.max_evicting_share <= 1:
        raise FieldError(
            "max_evicting_share", f"must be greater than 0 and at most 1, found {rules.max_evicting_share:g}"
        )
    return rules


LONGEST_WINDOW_S = 3600.0
"""The ledger adds a window up once a second."""


def check_breaker(rules: BreakerRules) -> BreakerRules:
    for name in ("min_requests", "consecutive_failures", "half_open_requests"):
        if getattr(rules, name) < 1:
            raise FieldError(name, f"must be at least 1, found {getattr(rules, name)}")
    for name in ("window_s", "open_s", "ttft_p95_s"):
        value = getattr(rules, name)
        if value is not None and value <= 0:
            raise FieldError(name, f"must be greater than 0, found {value:g}")
    if rules.window_s > LONGEST_WINDOW_S:
        raise FieldError("window_s", f"must be at most {LONGEST_WINDOW_S:g}, found {rules.window_s:g}")
    if rules.max_open_s < rules.open_s:
        raise FieldError("max_open_s", f"must be at least open_s ({rules.open_s:g}), found {rules.max_open_s:g}")
    if not 0 < rules.error_rate <= 1:
        raise FieldError("error_rate", f"must be greater than 0 and at most 1, found {rules.error_rate:g}")
    if not 1 <= rules.half_open_percent <= 99:
        raise FieldError("half_open_percent", f"must be from 1 to 99, found {rules.half_open_percent}")
    return rules


def expand(value: Any) -> Any:
    """A plugin's name alone means the plugin with its default options."""
    return {"plugin": value} if isinstance(value, str) else value


Name = Annotated[
    str, AfterValidator(check_name), Field(json_schema_extra={"pattern": f"^{NAME}$", "maxLength": MAX_NAME})
]


class Entry(BaseModel):
    # built when first needed: most commands ask a controller, and read no more of a file than its stack's name
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True, frozen=True, defer_build=True)


class BackendEntry(Entry):
    model_config = ConfigDict(extra="allow")
    selector: ClassVar[str] = "orchestrator"

    orchestrator: str | None = None
    """The plugin that runs the deployments; the backend's own name unless given."""


class PluginEntry(Entry):
    model_config = ConfigDict(extra="allow")
    selector: ClassVar[str] = "plugin"

    plugin: str
    """The plugin's name."""


class DeploymentEntry(Entry):
    name: Name
    """Its name in routes, metrics and logs."""
    model: Annotated[str, Field(min_length=1)]
    """What to serve: a local path, or a name that the engine knows."""
    engine: str | None = None
    """The plugin that serves the model; may be left out where one is installed."""
    engine_options: dict[str, Any] = {}
    """The engine's own options."""
    backend: str | None = None
    """Where it runs; the stack's `backend` unless given."""
    policy: AutoscalingPolicy = AutoscalingPolicy()
    """How many replicas, and how fast their number follows the load: fields, or `module:NAME` of a Python policy."""
    max_ongoing_requests: Annotated[int, Field(ge=0)] | None = None
    """Requests in work and queued at a time for each ready replica, of all tenants; more are answered 503 at once.
    Eight times the policy's target_ongoing_requests unless given; 0: no bound, and what is too much waits in the
    engine."""


class TenantEntry(Entry):
    name: Name
    """Its name in the ledger, metrics and `fs tenant`."""
    deployment: str
    """The deployment that answers it."""
    max_ongoing_requests: Annotated[int, Field(ge=1)] | None = None
    """Requests in work at a time; more are answered 429. No limit unless given."""
    requests_per_s: Annotated[float, Field(gt=0, le=MAX_REQUESTS_PER_S)] | None = None
    """Requests begun per second; more are answered 429. No limit unless given."""
    tokens_per_minute: Annotated[int, Field(ge=1, le=MAX_TOKENS_PER_MINUTE)] | None = None
    """Prompt and completion tokens per minute; while they are used up it is answered 429. No limit unless given. Of a
    stream that reports no usage the chunks count as completion tokens, and the prompt as none."""


def check_listen(address: str) -> str:
    if address:
        split_listen(address)
    return address


def check_prometheus(url: str) -> str:
    """Without a password: the URL is written into files that people pass on. Raises `ValueError`."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError('must be an http or https URL without user and password, for example "http://127.0.0.1:9090"')
    return url


class MetricsEntry(Entry):
    listen: Annotated[str, AfterValidator(check_listen)] = ""
    """host:port where Prometheus finds the controller's metrics, and the replicas; nowhere unless given."""
    allow_plaintext: bool = False
    """Permits listening beyond loopback, where whoever gets there reads the tenants' names and how much they ask."""
    runbooks: Annotated[str, Field(min_length=1)] = "runbooks"
    """URL of the folder that holds the runbook: what the alerts' links begin with."""
    prometheus: Annotated[str, AfterValidator(check_prometheus)] = "http://127.0.0.1:9090"
    """URL of the Prometheus that reads it, as Grafana reaches it; only `fs plan -o grafana` asks for it."""

    @model_validator(mode="after")
    def _stays_here(self) -> "MetricsEntry":
        if self.listen and not self.allow_plaintext and not is_loopback(split_listen(self.listen)[0]):
            raise ValueError(
                f"listen: {self.listen} would show every machine who the tenants are and how much they ask; listen on "
                "loopback, or set allow_plaintext: true"
            )
        return self


class PolicyEntry(Entry):
    """A policy by itself: a plain dataclass takes strictness from what is around it."""

    policy: AutoscalingPolicy


class StackFile(Entry):
    name: Name
    """Names the stack and the folder of its state."""
    backend: str | None = None
    """Where deployments run: a key of `backends`, or an orchestrator's name; may be left out where one is installed."""
    backends: dict[Name, BackendEntry] = {}
    """Orchestrators with options: the backend's name, then `orchestrator` and that plugin's options."""
    load_balancer: Annotated[PluginEntry, BeforeValidator(expand)] | None = None
    """What clients talk to: a plugin's name, or `plugin` and options; may be left out where one has API keys."""
    edge: Annotated[PluginEntry, BeforeValidator(expand)] | None = None
    """Stands before a load balancer that lacks API keys, and has them: a plugin's name, or `plugin` and its options."""
    probe: Annotated[PluginEntry, BeforeValidator(expand)] | None = None
    """How replicas are probed: a plugin's name, or `plugin` and its options; may be left out where one is installed."""
    health: Annotated[HealthRules, AfterValidator(check_health)] = HealthRules()
    """When failed probes get a replica replaced."""
    breaker: Annotated[BreakerRules, AfterValidator(check_breaker)] = BreakerRules()
    """When a deployment that answers badly is left alone for a while: its requests go elsewhere or are answered 503."""
    metrics: MetricsEntry = MetricsEntry()
    """Where Prometheus finds what goes on; `fs plan -o prometheus` writes what it needs for it."""
    deployments: Annotated[list[DeploymentEntry], Field(min_length=1)]
    """Models to serve, each with its engine and its policy."""
    tenants: list[TenantEntry] = []
    """Who may call; one named `default` on the first deployment unless given."""


def entry_schema(model: type[Entry] = StackFile) -> dict[str, Any]:
    """The model's JSON Schema, with the Python policies that are spelled out before the model sees them."""
    schema = model.model_json_schema()
    reference = {"type": "string", "pattern": f"^{REFERENCE.pattern}$"}
    definitions = schema["$defs"]
    policy = definitions["AutoscalingPolicy"]
    policy["properties"]["schedule"]["examples"] = [SCHEDULE_EXAMPLE]
    policy["properties"] = {
        "from": {
            "anyOf": [reference, {"type": "null"}],
            "default": None,
            "description": "`module:NAME` of a Python policy: what it says holds where nothing else is said here.",
        },
        **policy["properties"],
    }
    window = definitions["Window"]["properties"]["policy"]
    window["anyOf"] = [reference, *window["anyOf"]]
    if deployment := definitions.get("DeploymentEntry"):
        inline = deployment["properties"]["policy"]
        inline["anyOf"] = [reference, {"$ref": inline.pop("$ref")}]
    return schema
