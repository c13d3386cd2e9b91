"""What is drawn of a stack: its state at a glance, its deployments, its tenants. A plugin draws what it alone knows."""

from collections.abc import Iterable

from ...domain import Dashboard
from .deployments import DEPLOYMENTS
from .overview import OVERVIEW
from .tenants import TENANTS

__all__ = ["dashboards"]


def dashboards(plugins: Iterable[Dashboard] = ()) -> tuple[Dashboard, ...]:
    """`plugins`: what those of the stack bring themselves."""
    return (OVERVIEW, DEPLOYMENTS, TENANTS, *plugins)
