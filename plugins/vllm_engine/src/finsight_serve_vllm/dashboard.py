"""What vLLM tells of itself, replica by replica. Pure."""

from finsight_serve.domain import Dashboard
from finsight_serve.domain.dashboard import Panel, Query, Row, Step

_WHERE = '{stack=~"$stack",deployment=~"$deployment"}'
_REPLICA = "{{deployment}} {{replica}}"
_QUANTILES = (0.5, 0.95, 0.99)


def _each(name: str) -> str:
    return f"sum by (deployment, replica) ({name}{_WHERE})"


def _rate(name: str, by: str = "deployment, replica") -> str:
    return f"sum by ({by}) (rate({name}{_WHERE}[$__rate_interval]))"


def _quantiles(name: str) -> tuple[Query, ...]:
    return tuple(
        Query(
            f"histogram_quantile({quantile}, {_rate(f'{name}_bucket', 'deployment, le')})",
            f"{{{{deployment}}}}: p{round(quantile * 100)}",
        )
        for quantile in _QUANTILES
    )


LOAD = Row(
    "Load",
    (
        Panel("Running", "count", (Query(_each("vllm:num_requests_running"), _REPLICA),), "Requests in the batch."),
        Panel("Waiting", "count", (Query(_each("vllm:num_requests_waiting"), _REPLICA),), "Requests not in it yet."),
        Panel(
            "KV cache",
            "ratio",
            (Query(f"max by (deployment, replica) (vllm:kv_cache_usage_perc{_WHERE})", _REPLICA),),
            "Share of its blocks that are in use: full, requests are preempted and wait.",
            steps=(Step("ok"), Step("warning", 0.9)),
        ),
        Panel(
            "Preempted",
            "requests/s",
            (Query(_rate("vllm:num_preemptions_total"), _REPLICA),),
            "Requests that lost their blocks and are begun again.",
        ),
        Panel(
            "Prefix cache",
            "ratio",
            (Query(f"{_rate('vllm:prefix_cache_hits_total')} / {_rate('vllm:prefix_cache_queries_total')}", _REPLICA),),
            "Share of the prompts' tokens that were there already.",
        ),
        Panel(
            "Finished",
            "requests/s",
            (Query(_rate("vllm:request_success_total", "deployment, finished_reason"), "{{finished_reason}}"),),
            "By the reason for which they ended.",
            stacked=True,
        ),
    ),
)
SPEED = Row(
    "Speed",
    (
        Panel(
            "Tokens of answers", "tokens/s", (Query(_rate("vllm:generation_tokens_total"), _REPLICA),), "As generated."
        ),
        Panel("Tokens of prompts", "tokens/s", (Query(_rate("vllm:prompt_tokens_total"), _REPLICA),), "As computed."),
        Panel(
            "In the queue",
            "seconds",
            _quantiles("vllm:request_queue_time_seconds"),
            "From a request's arrival at the engine to its first place in the batch.",
        ),
        Panel(
            "Time to the first token",
            "seconds",
            _quantiles("vllm:time_to_first_token_seconds"),
            "Within the engine; the load balancer's own figure has the way there too.",
        ),
        Panel(
            "Between tokens", "seconds", _quantiles("vllm:inter_token_latency_seconds"), "From a token to the next one."
        ),
        Panel("Whole request", "seconds", _quantiles("vllm:e2e_request_latency_seconds"), "From arrival to the end."),
    ),
)

DASHBOARD = Dashboard("vllm", "FinSight: vLLM", (LOAD, SPEED))
