"""What the engine reports, under vLLM's metric names, so that whatever reads vLLM reads this too."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SIGNALS = {
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "tokens": "vllm:generation_tokens_total",
}
_BUCKETS_S = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
    20.0,
    40.0,
)


class Metrics:
    def __init__(self, model: str) -> None:
        self._registry = CollectorRegistry()
        labels, registry = ("model_name",), self._registry
        running = Gauge(SIGNALS["running"], "Requests being generated.", labels, registry=registry)
        waiting = Gauge(SIGNALS["waiting"], "Requests waiting for a place.", labels, registry=registry)
        tokens = Counter("vllm:generation_tokens", "Tokens generated.", labels, registry=registry)
        ttft_s = Histogram(
            "vllm:time_to_first_token_seconds", "Time to first token.", labels, registry=registry, buckets=_BUCKETS_S
        )
        self.running, self.waiting = running.labels(model), waiting.labels(model)
        self.tokens, self.ttft_s = tokens.labels(model), ttft_s.labels(model)

    def render(self) -> bytes:
        return generate_latest(self._registry)
