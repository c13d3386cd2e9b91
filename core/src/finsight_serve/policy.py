"""What a policy module imports: the values that a policy is made of, and `as_policy`.

    from finsight_serve.policy import AutoscalingPolicy, market_hours

Light: standard library only.
"""

from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from .domain import (
    AutoscalingPolicy,
    CronHours,
    FieldError,
    ServiceLevel,
    TradingHours,
    WeeklyHours,
    Window,
    market_hours,
)

__all__ = [
    "AutoscalingPolicy",
    "CronHours",
    "FieldError",
    "ServiceLevel",
    "TradingHours",
    "WeeklyHours",
    "Window",
    "as_policy",
    "market_hours",
]

TELLING = frozenset({"min_replicas", "max_replicas", "target_ongoing_requests"})
"""The fields by which another library's autoscaling settings are recognised."""
OLD_NAMES = {"upscale_smoothing_factor": "upscaling_factor", "downscale_smoothing_factor": "downscaling_factor"}
"""Names that Ray Serve 2.60 still reads where the new one is not given."""


def as_policy(value: object) -> AutoscalingPolicy:
    """The policy that says the same as `value`.

    That is `value` itself if it is an `AutoscalingPolicy`. A pydantic model or dataclass with the same field names, as
    Ray Serve's `AutoscalingConfig`, is read field by field: what it leaves out means what *it* takes for granted
    there, not what `AutoscalingPolicy` does.

    Raises `TypeError` for anything else, `FieldError` for a field that says something no policy here can say.
    """
    if isinstance(value, AutoscalingPolicy):
        return value
    defaults = dict(_defaults(value))
    if not defaults.keys() >= TELLING:
        raise TypeError(f"is {describe(value)}, not an AutoscalingPolicy")
    said = {name: getattr(value, name) for name in defaults}
    for old, new in OLD_NAMES.items():
        former = said.pop(old, None)
        said[new] = said.get(new) or former
    known = {spec.name for spec in fields(AutoscalingPolicy)}
    for name in said.keys() - known:
        if said[name] != defaults[name]:
            raise FieldError(name, "is set, and an AutoscalingPolicy has no such field: leave it out")
    return AutoscalingPolicy(**{name: found for name, found in said.items() if name in known})


def describe(value: object) -> str:
    """What it is, in a few words."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, dict):
        return "a dict (write AutoscalingPolicy(**…))"
    if callable(value):
        return "a function" if hasattr(value, "__code__") else f"a callable of type {type(value).__name__}"
    return "None" if value is None else f"of type {type(value).__name__}"


def _defaults(value: object) -> Iterator[tuple[str, Any]]:
    """Names and defaults of the fields of a pydantic model or a dataclass; of anything else, none."""
    described = getattr(type(value), "model_fields", None)  # pydantic's, which this module need not import
    if isinstance(described, dict):
        yield from ((name, spec.get_default(call_default_factory=True)) for name, spec in described.items())
    elif is_dataclass(value) and not isinstance(value, type):
        for spec in fields(value):
            yield spec.name, spec.default if spec.default_factory is MISSING else spec.default_factory()
