"""Prometheus' own files: what it scrapes, what it records and what it watches for. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

from ..domain import Alert, ScrapeJob
from ..ports import split_listen
from .alerts import CONTROLLER_JOB, RUNBOOK
from .recording import Recording

PREFIX = "finsight-"
SCRAPE_INTERVAL_S = EVALUATION_INTERVAL_S = 15
CONFIG, RECORDING_RULES, ALERT_RULES = "prometheus.yml", "recording_rules.yml", "alert_rules.yml"
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where this machine reaches what listens on all its addresses."""


@dataclass(frozen=True)
class Found:
    """A plugin's job, and the labels that tell which part of the stack it is of."""

    job: ScrapeJob
    labels: Mapping[str, str]


def render(
    stack: str,
    listen: str,
    jobs: Iterable[Found],
    recordings: Iterable[Recording],
    alerts: Sequence[Alert],
    runbooks: str,
) -> Mapping[str, str]:
    """File name → YAML. `listen`: the controller's host:port. Raises `ValueError` for one that is none."""
    config = {
        "global": {"scrape_interval": f"{SCRAPE_INTERVAL_S}s", "evaluation_interval": f"{EVALUATION_INTERVAL_S}s"},
        "rule_files": [RECORDING_RULES, ALERT_RULES],
        "scrape_configs": [
            *_of_the_controller(stack, listen),
            *(_labelled(found.job, {"stack": stack, **found.labels}) for found in jobs),
        ],
    }
    recorded = [{"record": one.name, "expr": one.expr} for one in recordings]
    watched = [_rule(alert, runbooks) for alert in alerts]
    return {
        CONFIG: as_yaml(config),
        RECORDING_RULES: as_yaml({"groups": [{"name": "finsight-recording", "rules": recorded}]}),
        ALERT_RULES: as_yaml({"groups": [{"name": "finsight-alerts", "rules": watched}]}),
    }


def _of_the_controller(stack: str, listen: str) -> Iterable[Mapping[str, Any]]:
    """The controller itself; and the engines, which it finds and through which they are read."""
    host, port = split_listen(listen)
    host = ANYWHERE.get(host, host)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    controller = {"static_configs": [{"targets": [address]}]}
    engines = {"http_sd_configs": [{"url": f"http://{address}/replicas", "refresh_interval": f"{SCRAPE_INTERVAL_S}s"}]}
    yield _labelled(ScrapeJob(CONTROLLER_JOB.removeprefix(PREFIX), controller), {"stack": stack})
    yield _labelled(ScrapeJob("engines", engines), {"stack": stack})


def _labelled(job: ScrapeJob, labels: Mapping[str, str]) -> Mapping[str, Any]:
    """By relabelling, which static and discovered targets have in common, and which overrides a discovered `job`.

    The entry's own name is another one: several backends of a plugin, or several stacks, have the same job.
    """
    own = {"job": f"{PREFIX}{job.name}", **labels}
    fixed = [{"target_label": label, "replacement": value} for label, value in own.items()]
    given = dict(job.config)
    steps = [*given.pop("relabel_configs", ()), *fixed]
    return {"job_name": "-".join((*labels.values(), job.name)), **given, "relabel_configs": steps}


def _rule(alert: Alert, runbooks: str) -> Mapping[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        **({"for": f"{alert.for_s}s"} if alert.for_s else {}),
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": runbook_url(runbooks, alert.runbook),
        },
    }


def runbook_url(runbooks: str, section: str) -> str:
    return f"{runbooks.rstrip('/')}/{RUNBOOK}#{section}"


def as_yaml(data: Mapping[str, Any]) -> str:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 4096  # an expression stays on its line
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = StringIO()
    yaml.dump(data, text)
    return text.getvalue()
