"""Who asks, where each is routed, and who is being moved."""

from ...domain.dashboard import Dashboard, Panel, Query, Row
from .. import metrics as m
from ..alerts import MOVED, STUCK_S
from ..recording import BAD
from .asking import TENANT, of, per_second

ASKED = "tenant:finsight_requests:rate5m"
ROUTE = "{{tenant}} to {{destination}}"

ROUTED = Row(
    "Where each is routed",
    (
        Panel(
            "Routes",
            "ratio",
            (Query(f"max by (tenant, deployment) ({of(m.ROUTE_WEIGHT, TENANT)}) > 0", "share"),),
            "Share of a tenant's requests that is sent to a deployment now; without a deployment: refused.",
            "table",
        ),
        Panel(
            "Shares",
            "ratio",
            (Query(f"max by (tenant, deployment) ({of(m.ROUTE_WEIGHT, TENANT)})", "{{tenant}} to {{deployment}}"),),
            "The same over time.",
            width=16,
        ),
    ),
)

REQUESTS = Row(
    "What each asks and gets",
    (
        Panel(
            "Requests",
            "requests/s",
            (Query(f"sum by (tenant) ({of(ASKED, TENANT)})", "{{tenant}}"),),
            "What ended; without a name: nobody's key.",
        ),
        Panel(
            "Failed and truncated",
            "requests/s",
            (Query(f"sum by (tenant, outcome) ({of(ASKED, TENANT, BAD)})", "{{tenant}}: {{outcome}}"),),
            "Answers that were an error, or that broke off.",
        ),
        Panel(
            "Turned away",
            "requests/s",
            (Query(per_second(m.TURNED_AWAY, "tenant", TENANT), "{{tenant}}"),),
            "Answered 4xx by the load balancer itself, as over a limit.",
        ),
        Panel(
            "Streams open",
            "count",
            (Query(f"sum by (tenant) ({of(m.STREAMS_OPEN, TENANT)})", "{{tenant}}"),),
            "Requests that were let through and have not ended.",
        ),
        Panel(
            "Tokens",
            "tokens/s",
            (
                Query(per_second(m.PROMPT_TOKENS, "tenant", TENANT), "{{tenant}}: prompts"),
                Query(per_second(m.COMPLETION_TOKENS, "tenant", TENANT), "{{tenant}}: answers"),
            ),
            "Of requests that ended.",
        ),
        Panel(
            "p95 to the first byte",
            "seconds",
            (
                Query(
                    f"histogram_quantile(0.95, {per_second(m.TTFT, 'tenant, le', TENANT)})",
                    "{{tenant}}",
                ),
            ),
            "From a request's arrival to the first byte of its answer at the load balancer.",
        ),
    ),
)

MIGRATIONS = Row(
    "Migrations",
    (
        Panel(
            "Under way",
            "seconds",
            (Query(f"time() - max by (tenant, destination, phase) ({of(m.MIGRATION_START, TENANT)})", "for"),),
            "The phase or step in which each is, and for how long.",
            "table",
        ),
        Panel(
            "Share moved",
            "ratio",
            (
                Query(of(m.MIGRATION_SHARE, TENANT), ROUTE),
                Query(of(m.MIGRATION_PAUSED, TENANT) + " > 0", f"{ROUTE}: paused"),
            ),
            "Share of a tenant's requests that its migration sends to the destination.",
        ),
        Panel(
            "In the same step",
            "seconds",
            (
                Query(f"time() - {of(m.MIGRATION_START, TENANT)}", ROUTE),
                Query(
                    f"{of(m.MIGRATION_HOLD, TENANT)} + {STUCK_S} unless {MOVED} {of(m.MIGRATION_PAUSED, TENANT)} == 1",
                    f"{ROUTE}: stuck",
                    is_bound=True,
                ),
            ),
            "Beyond its hold and half an hour more it is stuck.",
            alerts=("FinSightMigrationStuck",),
        ),
        Panel(
            "Answers of tenants that are moved",
            "requests/s",
            (
                Query(
                    f"sum by (stack, tenant, deployment, outcome) (rate({of(m.REQUESTS, TENANT)}[$__rate_interval]))"
                    f" and on (stack, tenant) {of(m.MIGRATION_START, TENANT)}",
                    "{{tenant}} at {{deployment}}: {{outcome}}",
                ),
            ),
            "At the source and at the destination, as the ledger says.",
            width=24,
        ),
    ),
)

TENANTS = Dashboard("tenants", "FinSight: tenants and migrations", (ROUTED, REQUESTS, MIGRATIONS))
