"""Who takes a deployment's share while it can't. Pure."""

from collections.abc import Mapping, Sequence

REFUSED = ""
"""In a deployment's place: that share is turned away (503)."""
WHOLE = 100
"""Percent that a deployment admits whose breaker is closed."""


def overlay(weights: Mapping[str, int], admits: Mapping[str, int], spare: Sequence[str]) -> Mapping[str, int]:
    """`weights` as they hold now: what a deployment does not admit goes to others, or is refused.

    `weights` are percent that add up to 100; so do the shares returned, of which none is 0, or there are none, and all
    is refused. `admits` are percent of a deployment's own share. What is left over goes to the weighted deployments
    that admit all, in proportion to their weights; else to `spare` in equal parts; else it is refused. The order of
    `weights` stays, so that a share grows and shrinks in its place.
    """
    if all(admits.get(name, 0) >= WHOLE for name in weights):  # as nearly always, and of thousands of tenants
        return {name: percent for name, percent in weights.items() if percent}
    through = {name: _admitted(percent, admits.get(name, 0)) for name, percent in weights.items()}
    left = sum(weights.values()) - sum(through.values())
    takers = {name: percent for name, percent in weights.items() if percent and admits.get(name, 0) >= WHOLE}
    extra = _apportion(left, takers or dict.fromkeys(spare, 1) or {REFUSED: 1})
    shares = {name: through.get(name, 0) + extra.get(name, 0) for name in (*through, *extra)}
    held = {name: percent for name, percent in shares.items() if percent}
    return {} if held.keys() <= {REFUSED} else held


def _admitted(percent: int, admits: int) -> int:
    """A half-open deployment with the smallest share gets that, or nothing would ever tell whether it is well again."""
    if admits <= 0 or percent <= 0:
        return 0
    return min(percent, max(1, round(percent * admits / WHOLE)))


def _apportion(amount: int, takers: Mapping[str, int]) -> Mapping[str, int]:
    """In proportion to `takers`, adding up to `amount`: what rounding leaves goes to the largest remainders."""
    total = sum(takers.values())
    parts = {name: divmod(amount * weight, total) for name, weight in takers.items()}
    rest = amount - sum(whole for whole, _ in parts.values())
    favoured = sorted(parts, key=lambda name: -parts[name][1])[:rest]  # stable: the earlier one of equals
    return {name: whole + (name in favoured) for name, (whole, _) in parts.items()}
