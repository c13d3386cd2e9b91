"""The grade of every policy field: what an orchestrator says of its own, and what the core does itself. Pure."""

from collections.abc import Mapping
from dataclasses import fields

from ..domain import AutoscalingPolicy
from ..plugin import Grade

_UNSAID = Grade("impossible", "the backend does not say what it does with it")


def all_grades(policy: AutoscalingPolicy, found: Mapping[str, Grade], *, exported: bool) -> Mapping[str, Grade]:
    """In the order of the fields. `found`: the orchestrator's, by field; `policy`: with its schedule.

    `exported`: no controller follows the schedule, so what the orchestrator makes of it counts.
    """
    own = {"slo": _slo(policy)}
    if not policy.schedule or not exported:
        own["schedule"] = _schedule(policy)
    return {spec.name: own.get(spec.name) or found.get(spec.name, _UNSAID) for spec in fields(policy)}


def _slo(policy: AutoscalingPolicy) -> Grade:
    return Grade("exact", "read by lint, simulation and alerts, told to no backend" if policy.slo else "none given")


def _schedule(policy: AutoscalingPolicy) -> Grade:
    return Grade("exact", "the controller changes the numbers at each edge" if policy.schedule else "none given")
