"""The numbers of a policy that are tuned together, each with its range; and the policy with other numbers in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..domain import AutoscalingPolicy, Window
from .rules import TARGET_SHARE

LONGEST_LEAD_S = 1800.0


@dataclass(frozen=True)
class Knob:
    """`name` is the field's dotted path: "upscale_delay_s", "schedule.0.lead_s", "schedule.0.policy.min_replicas"."""

    name: str
    low: float
    high: float
    step: float | None = None  # None: any number, tried evenly over orders of magnitude


def knobs(policy: AutoscalingPolicy, *, max_concurrency: int) -> tuple[Knob, ...]:
    """All but the bounds, which say what the hardware may cost; of windows also the floor and the lead, unless that is
    measured.

    `max_concurrency`: what one replica works on at a time, which no target goes far beyond.
    """
    return tuple(_knobs(policy, max_concurrency))


def _knobs(policy: AutoscalingPolicy, max_concurrency: int) -> Iterator[Knob]:
    yield from _numbers("", max_concurrency)
    for index, window in enumerate(policy.schedule):
        path = f"schedule.{index}."
        ceiling = float(window.policy.max_replicas if window.policy else policy.max_replicas)
        if window.floor is not None and window.lead_s != "measured":
            yield Knob(path + "lead_s", 0.0, LONGEST_LEAD_S, step=30.0)
        if window.policy is not None:
            yield Knob(path + "policy.min_replicas", float(policy.min_replicas), ceiling, step=1.0)
            yield from _numbers(path + "policy.", max_concurrency)
        elif window.min_replicas is not None:
            lowered = float(window.max_replicas if window.max_replicas is not None else ceiling)
            yield Knob(path + "min_replicas", float(min(policy.min_replicas, lowered)), lowered, step=1.0)


def _numbers(path: str, max_concurrency: int) -> Iterator[Knob]:
    yield Knob(path + "target_ongoing_requests", 0.5, max(1.0, float(int(TARGET_SHARE * max_concurrency))), step=0.5)
    yield Knob(path + "upscale_delay_s", 0.0, 120.0, step=1.0)
    yield Knob(path + "downscale_delay_s", 10.0, 3600.0)
    yield Knob(path + "upscaling_factor", 0.25, 4.0)
    yield Knob(path + "downscaling_factor", 0.25, 4.0)
    yield Knob(path + "look_back_period_s", 1.0, 120.0)


def values(policy: AutoscalingPolicy, knob: Knob) -> float:
    """What the policy has there now."""
    owner: Any = policy
    *path, field = knob.name.split(".")
    for part in path:
        owner = owner[int(part)] if part.isdigit() else getattr(owner, part)
    name = {"upscaling_factor": "up_factor", "downscaling_factor": "down_factor"}.get(field, field)
    return float(getattr(owner, name))


def turned(policy: AutoscalingPolicy, numbers: Mapping[str, float]) -> AutoscalingPolicy:
    """The policy with these numbers, by knob name, in place of its own. Raises `FieldError`."""
    changed = replace(policy, **_own(numbers), schedule=())
    windows = tuple(
        _turned_window(window, _below(numbers, f"schedule.{index}.")) for index, window in enumerate(policy.schedule)
    )
    return replace(changed, schedule=windows)


def _turned_window(window: Window, numbers: Mapping[str, float]) -> Window:
    own = _own(numbers)
    if window.policy is not None:
        own["policy"] = replace(window.policy, **_own(_below(numbers, "policy.")))
    return replace(window, **own)


def _own(numbers: Mapping[str, float]) -> dict[str, Any]:
    return {
        name: int(value) if name == "min_replicas" else tidy(value)
        for name, value in numbers.items()
        if "." not in name
    }


def _below(numbers: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): value for name, value in numbers.items() if name.startswith(prefix)}


def tidy(value: float) -> float:
    """Three significant digits: more would only say how the search rolled its dice."""
    return float(f"{value:.3g}")
