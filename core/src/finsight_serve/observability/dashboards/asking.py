"""Queries of what was chosen on the page."""

from collections.abc import Iterable

from ..metrics import Metric

FIRING = 'ALERTS{alertstate="firing",stack=~"$stack|"}'
"""Also what is no stack's, as that a whole job is absent."""
STACK, DEPLOYMENT, TENANT = 'stack=~"$stack"', 'deployment=~"$deployment"', 'tenant=~"$tenant"'


def of(series: Metric | str, *where: str, **labels: str) -> str:
    """The series of the chosen stacks, further narrowed by matchers and by labels' values."""
    name = series if isinstance(series, str) else series.sample
    exact = (f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{','.join((STACK, *where, *exact))}}}"


def per_second(metric: Metric, by: str, *where: str) -> str:
    return f"sum by ({by}) (rate({of(metric, *where)}[$__rate_interval]))"


def coded(metric: Metric, by: str, states: Iterable[str], *where: str) -> str:
    """Of a metric that is 1 for the state in which something is and 0 for the others: the state's place in `states`."""
    series = (f"{place} * {of(metric, *where, state=state)}" for place, state in enumerate(states))
    return f"sum by ({by}) ({' or '.join(series)})"
