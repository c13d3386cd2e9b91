"""What becomes of hooks, and that it arrives at a collector that speaks OTLP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import finsight_serve_otel
from finsight_serve.domain import Event
from finsight_serve.host import Host
from finsight_serve.plugin import Artefact, Plan
from finsight_serve_otel.spans import Spans


class Recorded:
    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.spans = Spans(provider.get_tracer("test"))

    def tell(self, kind: str, subject: str, at_s: float, reason: str = "so") -> None:
        self.spans.on_event(Event(at_s, kind, subject, reason))

    @property
    def ended(self) -> list[ReadableSpan]:
        return list(self._kept.get_finished_spans())


def took_s(span: ReadableSpan) -> float:
    assert span.start_time is not None and span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


@pytest.mark.parametrize(("backend", "told_of"), [("ray", "ray"), ("", "load balancer")])
def test_an_apply_lasts_until_it_is_told_of(backend: str, told_of: str) -> None:
    recorded = Recorded()
    recorded.spans.before_apply(backend, 3, 100.0)
    assert recorded.ended == []
    recorded.tell("applied", told_of, 102.5)
    (span,) = recorded.ended
    assert (span.name, took_s(span), span.status.is_ok) == (f"apply {told_of}", 2.5, True)
    assert span.attributes == {"finsight.artefacts": 3, "finsight.reason": "so"}


def test_one_that_fails_is_an_error_also_where_the_reason_is_not_told_again() -> None:
    recorded = Recorded()
    recorded.spans.before_apply("ray", 1, 100.0)
    recorded.tell("apply_failed", "ray", 101.0, "no route to host")
    recorded.spans.before_apply("ray", 1, 102.0)
    recorded.spans.before_apply("ray", 1, 104.0)
    first, second = recorded.ended
    assert (first.status.is_ok, first.status.description) == (False, "no route to host")
    assert (second.status.is_ok, second.status.description, took_s(second)) == (False, "as before", 2.0)


def test_a_migrations_steps_are_within_it() -> None:
    recorded = Recorded()
    for at_s, kind in enumerate(("migration_asked", "migration_phase", "migration_step", "migration_done")):
        recorded.tell(kind, "M1", 100.0 + at_s, "acme: 10 % to code")
    *parts, whole = recorded.ended
    assert [part.name for part in parts] == ["migration_asked", "migration_phase", "migration_step"]
    assert all(part.parent and part.parent.span_id == whole.context.span_id for part in parts)
    assert all(took_s(part) == 1 for part in parts)
    assert (whole.name, took_s(whole), whole.status.is_ok) == ("migration", 3, True)


def test_one_that_was_rolled_back_is_an_error() -> None:
    recorded = Recorded()
    recorded.tell("migration_step", "M1", 100.0)  # of before this process
    recorded.tell("migration_rolled_back", "M1", 101.0, "error_rate is 3 %")
    _, whole = recorded.ended
    assert whole.status.description == "error_rate is 3 %"


def test_everything_else_is_a_moment() -> None:
    recorded = Recorded()
    recorded.tell("policy_cut_over", "chat", 100.0, "min_replicas 1 to 4")
    recorded.tell("applied", "ray", 101.0)  # whose begin nobody saw
    cut_over, applied = recorded.ended
    assert (cut_over.name, took_s(cut_over)) == ("policy_cut_over", 0)
    assert cut_over.attributes == {"finsight.subject": "chat", "finsight.reason": "min_replicas 1 to 4"}
    assert applied.name == "applied"


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """Its URL, and what it was sent."""
    got: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            got.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", got
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def fresh() -> Iterator[None]:
    """As in a process that has just begun."""
    finsight_serve_otel.recorder.cache_clear()
    yield
    finsight_serve_otel.recorder.cache_clear()


def test_spans_arrive_where_the_environment_says(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with collector() as (url, got):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "desk")
        events = Host().events(said.append)
        assert events.before_apply("ray", Plan((Artefact("a", {}),))) is None
        events.on_event(Event(2e9, "applied", "ray", "the want is in force"))
        events.on_event(Event(2e9, "stopping", "stack", "asked"))
        found = finsight_serve_otel.recorder()
        assert said == [] and found is not None
        assert found.tracer.span_processor.force_flush(10_000)  # type: ignore[attr-defined]
    ((resource,),) = [request.resource_spans for request in got]
    named = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert named["service.name"] == "desk"
    assert [span.name for scope in resource.scope_spans for span in scope.spans] == ["apply ray", "stopping"]


def test_without_a_collector_nothing_is_made(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in finsight_serve_otel.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    said: list[str] = []
    events = Host().events(said.append)
    assert events.before_apply("ray", Plan((Artefact("a", {}),))) is None
    events.on_event(Event(1.0, "applied", "ray", "so"))
    assert said == [] and finsight_serve_otel.recorder() is None
