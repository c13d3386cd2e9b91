"""`python docs/fs_yaml.py > docs/fs-yaml.md`: the reference of fs.yaml, from the models that validate it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from finsight_serve.cli.plugins import describe_options
from finsight_serve.host import Host
from finsight_serve.plugin import Kind
from finsight_serve.stack.model import entry_schema

OURS = "finsight-serve"
INTRO = """\
# fs.yaml

One file says which models run, where, for whom, and how they scale. `fs init` writes a first one with every setting and
its description in it, `fs validate` checks one and names file, line, field and the nearest right spelling, and
`fs schema` prints its JSON Schema, from which editors complete it.

The shortest file that works, where one plugin of each kind is installed:

```yaml
name: quickstart
deployments:
  - name: chat
    model: smollm2
```

A unit stands at the end of a name: `_s` is seconds, `_ms` milliseconds, `_bytes` bytes. Every key that is not listed
here is an error. This page is made from the code by `docs/fs_yaml.py`.
"""
POLICY = """\
Of a deployment, or of a window. Names and meanings are Ray Serve's.

Three ways to write one: its fields; `policy: module:NAME`, which names a policy in a Python module; or both, `from:
module:NAME` and the fields that differ. Modules are looked for beside fs.yaml first, then where Python looks. What
`NAME` may be: an `AutoscalingPolicy`, or Ray Serve's own `AutoscalingConfig`, whose unset fields mean what they mean to
Ray, and whose deprecated smoothing factors count; a field that is set there and that is not listed here is refused.

```python
from finsight_serve.policy import AutoscalingPolicy, market_hours

DEFAULT = AutoscalingPolicy(
    min_replicas=1,
    max_replicas=4,
    schedule=(market_hours("XNYS", min_replicas=2, lead_s="measured"),),
)
```

A module is read when a command reads fs.yaml. `fs serve` and `fs apply` store the numbers that they found: a file that
is changed later counts from the next `fs apply` on, and a controller that restarts needs neither the file nor Python's
path. It is read in a process of its own, which runs with your environment and rights, `fs validate` included: name only
modules that you trust. What it prints is dropped. After 60 s it is stopped with all that it started; the environment
variable `FS_POLICY_TIMEOUT_S` sets another limit."""
SCHEDULE = """\
Of a policy: a list of windows. Each says when by exactly one of `calendar`, `weekly` and `cron`; and what holds then: a
policy of its own, all of whose numbers hold, or a raised floor, or a lowered ceiling. Where windows overlap, the
highest floor counts.

```yaml
name: scheduled
deployments:
  - name: chat
    model: smollm2
    policy:
      max_replicas: 4
      schedule:
        - name: market-hours
          calendar: {exchange: XNYS, start: "09:00", end: "16:00"}
          policy: {min_replicas: 2, max_replicas: 4, smoothing_factor: 1.0}
        - name: evenings
          weekly: {days: [mon, tue, wed, thu, fri], start: "18:00", end: "02:00", timezone: Europe/London}
          min_replicas: 3
          lead_s: measured
        - name: night
          cron: {start: "0 1 * * *", end: "0 5 * * *", timezone: UTC}
          max_replicas: 2
```"""
BREAKER = """\
The ServingCircuitBreaker: the same rules for all deployments, each of which has a breaker of its own. Closed, a
deployment takes all of its requests. Its breaker opens when too many of them fail (status 500 and above) or break off,
when the first token comes too late, or when all of its ready replicas fail their probes. Open, the deployment takes
none: they go to the tenant's other deployments, else to others that serve the same model, else they are answered 503
with `Retry-After`. Half-open, it gets a bounded share, and the answers close the breaker or open it again; after
`open_s` whatever was seen by then decides, and where nobody asked the probes do. `fs apply` changes these numbers while
everything runs on."""
SECTIONS = {  # heading → the model's name in the schema, "" for the whole file; then what to know beforehand
    "The file": ("", ""),
    "deployments": ("DeploymentEntry", "A list; at least one."),
    "policy": ("AutoscalingPolicy", POLICY),
    "schedule": ("Window", SCHEDULE),
    "calendar": (
        "TradingHours",
        "Of a window: on the days on which an exchange trades. A day that closes early ends the hours at its close.",
    ),
    "weekly": ("WeeklyHours", "Of a window: on the same weekdays of every week, holidays or not."),
    "cron": ("CronHours", "Of a window: from each time that `start` names to the next that `end` names."),
    "slo": ("ServiceLevel", "Of a policy. Read by `fs policy lint`, simulation and alerts; no orchestrator sees it."),
    "health": ("HealthRules", "The same for all deployments."),
    "breaker": ("BreakerRules", BREAKER),
    "metrics": (
        "MetricsEntry",
        "What Prometheus reads of the controller, and by way of it of the replicas: "
        "[observability.md](observability.md).",
    ),
    "tenants": (
        "TenantEntry",
        "A list. `fs serve` makes each tenant a key when it first meets it, shows it once and stores its hash; "
        "`fs tenant rotate NAME` replaces it.",
    ),
}
KINDS: Mapping[Kind, tuple[str, str]] = {
    "orchestrator": ("Orchestrators", "Under `backends.NAME`, beside `orchestrator: PLUGIN`."),
    "load_balancer": ("Load balancers", "Under `load_balancer`, beside `plugin: PLUGIN`."),
    "health_probe": ("Health probes", "Under `probe`, beside `plugin: PLUGIN`."),
    "engine": ("Engines", "Under `deployments[].engine_options`."),
}
TYPES = {
    "DeploymentEntry": "[deployment](#deployments)",
    "TenantEntry": "[tenant](#tenants)",
    "text or AutoscalingPolicy": "text or [policy](#policy)",
    "list of Window": "list of [window](#schedule)",
    "TradingHours": "[hours](#calendar)",
    "WeeklyHours": "[hours](#weekly)",
    "CronHours": "[hours](#cron)",
    "ServiceLevel": "[promise](#slo)",
    "HealthRules": "[rules](#health)",
    "BreakerRules": "[rules](#breaker)",
    "MetricsEntry": "[endpoint](#metrics)",
    "PluginEntry": "text or mapping",
}


def generate(host: Host) -> str:
    schema = entry_schema()
    parts = [INTRO]
    for heading, (name, note) in SECTIONS.items():
        part = schema["$defs"][name] if name else schema
        parts += [f"## {heading}", *([note] if note else []), _table(part)]
    for kind, (heading, note) in KINDS.items():
        parts += [f"## {heading}", note]
        for row in host.installed():
            if row.kind == kind and row.distribution.startswith(OURS):
                parts += _describe(host.load(kind, row.name))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _describe(plugin: type[Any]) -> Iterator[str]:
    yield f"### {plugin.name}"
    for feature, why in plugin.lacks.items():
        yield f"Lacks `{feature.value}`: {why}."
    model = plugin.Options
    if model.model_config.get("extra") == "allow":
        yield "Takes more than these: any option of what it runs, by its own name."
    yield _table(model.model_json_schema())


def _table(schema: Mapping[str, Any]) -> str:
    rows = (
        (f"`{row['name']}`", _type(str(row["type"])), _default(row["default"]), str(row["description"]))
        for row in describe_options(schema)
    )
    return "\n".join(_lines(("field", "type", "default", "meaning"), rows))


def _lines(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield _line(head)
    yield _line(("---",) * len(head))
    yield from (_line(row) for row in rows)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _type(name: str) -> str:
    for model, link in TYPES.items():
        name = name.replace(model, link)
    return name.replace(" or null", "")


def _default(value: Any) -> str:
    if value in (None, ""):
        return ""
    if value == "(required)":
        return "required"
    if isinstance(value, Mapping | list):
        return "" if value else "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    print(generate(Host()), end="")
