"""The orchestrator `local`: plain processes on this machine, as many as `min_replicas` says."""

from typing import TYPE_CHECKING

from finsight_serve.plugin import hookimpl

if TYPE_CHECKING:
    from .backend import LocalOrchestrator


@hookimpl
def orchestrator() -> "type[LocalOrchestrator]":
    from .backend import LocalOrchestrator

    return LocalOrchestrator
