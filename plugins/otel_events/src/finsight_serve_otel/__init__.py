"""What a controller does, as spans, for who names a collector by `OTEL_EXPORTER_OTLP_ENDPOINT`; else nothing at all.

OpenTelemetry's own variables say where, how and under which name (`OTEL_SERVICE_NAME`). Spans are sent in batches by a
thread of their own, so a collector that hangs or is gone holds nothing up.
"""

import os
import time
from functools import cache
from typing import TYPE_CHECKING

from finsight_serve.domain import Event
from finsight_serve.plugin import Plan, hookimpl

if TYPE_CHECKING:
    from .spans import Spans

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


@hookimpl
def before_apply(backend: str, plan: Plan) -> None:
    if found := recorder():
        found.before_apply(backend, len(plan.artefacts), time.time())


@hookimpl
def on_event(event: Event) -> None:
    if found := recorder():
        found.on_event(event)


@cache
def recorder() -> "Spans | None":
    """Of this process, made when the first is wanted: the SDK takes a while to import."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return None
    from .sending import tracer
    from .spans import Spans

    return Spans(tracer())
