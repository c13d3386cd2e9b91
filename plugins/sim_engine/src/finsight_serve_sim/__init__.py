"""An OpenAI-compatible engine without a model: timing, concurrency and faults are settable, answers repeatable."""

from typing import TYPE_CHECKING

from finsight_serve.plugin import hookimpl

if TYPE_CHECKING:
    from .sim_engine import SimEngine


@hookimpl
def engine() -> "type[SimEngine]":
    from .sim_engine import SimEngine

    return SimEngine
