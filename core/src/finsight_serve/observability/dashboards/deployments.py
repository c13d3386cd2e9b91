"""A deployment by itself: its policy, its replicas, its load, its answers."""

from ...domain.dashboard import Dashboard, Panel, Query, Row
from .. import metrics as m
from .asking import DEPLOYMENT, of, per_second
from .shared import PROBES, QUEUE, READY, TTFT

POLICY = Row(
    "What it is and what holds",
    (
        Panel(
            "Deployments",
            "count",
            (
                Query(
                    f"max by (deployment, backend, orchestrator, model) ({of(m.DEPLOYMENT_INFO, DEPLOYMENT)})", "there"
                ),
            ),
            "Where each runs and what it serves.",
            "table",
            width=12,
        ),
        Panel(
            "Why these bounds hold",
            "count",
            (Query(f"max by (deployment, why) ({of(m.POLICY_INFO, DEPLOYMENT)})", "holds"),),
            "The window that is open, or what else set them.",
            "table",
            width=12,
        ),
    ),
)

REPLICAS = Row(
    "Replicas",
    (
        READY,
        Panel(
            "Replicas by state",
            "count",
            (
                Query(f"sum by (state) ({of(m.REPLICAS, DEPLOYMENT)})", "{{state}}"),
                Query(f"sum({of(m.REPLICAS_EVICTING, DEPLOYMENT)})", "told to go"),
            ),
            "By the orchestrator's word; those that were told to go are among the others too.",
        ),
        Panel(
            "Cold start",
            "seconds",
            (Query(of(m.COLD_START, DEPLOYMENT), "{{deployment}}"),),
            "The longest of the last five starts of a replica.",
        ),
        PROBES,
    ),
)

LOAD = Row(
    "Load",
    (
        Panel(
            "Running at each replica",
            "count",
            (
                Query(
                    f"{of(m.RUNNING, DEPLOYMENT)} / on (stack, deployment) ({of(m.REPLICAS, state='ready')} > 0)",
                    "{{deployment}}",
                ),
                Query(of(m.POLICY_TARGET, DEPLOYMENT), "{{deployment}}: target", is_bound=True),
            ),
            "Requests that the engines work on, by their own figures at the last probe.",
        ),
        QUEUE,
        Panel(
            "Streams open",
            "count",
            (Query(f"sum by (deployment) ({of(m.STREAMS_OPEN, DEPLOYMENT)})", "{{deployment}}"),),
            "Requests that were let through and have not ended, as the load balancer counts them.",
        ),
    ),
)

ANSWERS = Row(
    "Answers",
    (
        Panel(
            "Requests by outcome",
            "requests/s",
            (
                Query(
                    f"sum by (outcome) ({of('deployment:finsight_requests:rate5m', DEPLOYMENT)})",
                    "{{outcome}}",
                ),
            ),
            "What became of them, as the ledger says.",
            stacked=True,
        ),
        TTFT,
        Panel(
            "Tokens",
            "tokens/s",
            (
                Query(per_second(m.PROMPT_TOKENS, "deployment", DEPLOYMENT), "{{deployment}}: prompts"),
                Query(per_second(m.COMPLETION_TOKENS, "deployment", DEPLOYMENT), "{{deployment}}: answers"),
            ),
            "Of requests that ended.",
        ),
    ),
)

DEPLOYMENTS = Dashboard("deployments", "FinSight: deployments", (POLICY, REPLICAS, LOAD, ANSWERS))
