"""Which rules make sense, and which steps suit a tenant."""

import math
from itertools import pairwise

from ..field_error import FieldError
from ..limit import OF_THE_SHADOW
from ..wording import span
from .values import STEPS, MigrationRules

PATIENCE_S = 600.0


def check_rules(rules: MigrationRules) -> None:
    """Raises `FieldError` naming the first field whose value makes no sense."""
    _check_steps(rules.steps)
    if not (math.isfinite(rules.hold_s) and rules.hold_s >= 0):
        raise FieldError("hold_s", f"must be a time of at least 0, as 60s, found {rules.hold_s:g}")
    if rules.min_requests < 0:
        raise FieldError("min_requests", f"must be at least 0, found {rules.min_requests}")
    if rules.min_requests == 0 and rules.shadow_percent:
        raise FieldError("min_requests", "must be at least 1 with a shadow: no copy proves nothing")
    if not 0 <= rules.shadow_percent <= 100:
        raise FieldError("shadow_percent", f"must be from 0 to 100, found {rules.shadow_percent}")
    for name in ("prepare_deadline_s", "step_deadline_s", "drain_deadline_s"):
        value = getattr(rules, name)
        if not (math.isfinite(value) and value > 0):
            raise FieldError(name, f"must be a time greater than 0, as 15m, found {value:g}")
    if not rules.shadow_percent and (lone := [limit.metric for limit in rules.limits if limit.metric in OF_THE_SHADOW]):
        raise FieldError("limits", f"{lone[0]} is seen in the shadow alone: have one, as --shadow 5%, or leave it out")
    if rules.hold_s >= rules.step_deadline_s:
        most = span(rules.step_deadline_s)
        raise FieldError("hold_s", f"must be less than --step-deadline ({most}), found {span(rules.hold_s)}")


def default_steps(requests_per_s: float, min_requests: int, patience_s: float = PATIENCE_S) -> tuple[int, ...]:
    """1, 10, 50, 100 percent, without the first ones at which so few requests come that proving takes too long.

    One step before 100 is kept, so that never all is at stake at once; but where even all of the tenant's requests
    would take longer than `patience_s`, a smaller step would take longer still, and only 100 is left.
    """
    expected = requests_per_s * patience_s if requests_per_s > 0 else 0.0
    if expected < min_requests:
        return STEPS[-1:]
    first = next(index for index, percent in enumerate(STEPS) if expected * percent / 100 >= min_requests)
    return STEPS[min(first, len(STEPS) - 2) :]


def _check_steps(steps: tuple[int, ...]) -> None:
    found = ",".join(map(str, steps)) or "none"
    if not steps or any(not 1 <= percent <= 100 for percent in steps):
        raise FieldError("steps", f"must be percentages from 1 to 100, as 1,10,50,100, found {found}")
    if any(later <= earlier for earlier, later in pairwise(steps)):
        raise FieldError("steps", f"must rise, as 1,10,50,100, found {found}")
    if steps[-1] != 100:
        raise FieldError("steps", f"must end at 100, as 1,10,50,100, found {found}")
