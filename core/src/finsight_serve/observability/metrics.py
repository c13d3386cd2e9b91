"""What the controller exports: one description of each metric family, which the exposition and the documents follow.

Names and units are by Prometheus' conventions. No label holds an id that is made anew as time goes by, as a replica's
or a migration's: what there is of each family is bounded by what fs.yaml and `fs tenant` name.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["gauge", "counter", "histogram"]


@dataclass(frozen=True)
class Metric:
    name: str  # of a counter without "_total", as OpenMetrics names families
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    series: str = "1"  # at most how many; of the stack's `deployments`, `tenants`, `backends`, and what a label may say

    @property
    def sample(self) -> str:
        """The name by which it is asked for."""
        return {"counter": f"{self.name}_total", "histogram": f"{self.name}_bucket"}.get(self.kind, self.name)


REPLICA_STATES = ("starting", "ready", "draining", "failed")
VERDICTS = ("ok", "refused", "timeout", "saturated", "wrong", "busy", "unprobed")
BREAKER_STATES = ("closed", "open", "half_open")
CONDITIONS = ("ok", "unseen", "unreachable", "down", "not_applied")
OUTCOMES = ("complete", "truncated", "client_closed", "failed", "unknown")
LOAD_BALANCER = "load_balancer"
"""In the label `backend`: no backend can bear this name."""

_DEPLOYMENT, _TENANT = ("deployment",), ("tenant", "deployment")
_MOVED = ("tenant", "destination")
_EACH, _PAIR = "deployments", "(tenants + 1) × (deployments + 1)"
"""One tenant more: requests without a valid key. One deployment more: requests that none of them took."""

BUILD_INFO = Metric("finsight_build_info", "gauge", "Always 1; which version runs.", ("version",))
DEPLOYMENT_INFO = Metric(
    "finsight_deployment_info",
    "gauge",
    "Always 1; where a deployment runs and what it serves.",
    ("deployment", "backend", "orchestrator", "model"),
    _EACH,
)
POLICY_INFO = Metric(
    "finsight_policy_info", "gauge", "Always 1; why these bounds hold now.", ("deployment", "why"), _EACH
)
POLICY_TARGET = Metric(
    "finsight_policy_target_ongoing_requests",
    "gauge",
    "Requests that one replica should have in work and queued at a time.",
    _DEPLOYMENT,
    _EACH,
)
POLICY_MIN = Metric(
    "finsight_policy_min_replicas",
    "gauge",
    "The floor that holds now, raised by windows and for tenants that are being moved there.",
    _DEPLOYMENT,
    _EACH,
)
POLICY_MAX = Metric(
    "finsight_policy_max_replicas", "gauge", "The ceiling that holds now, lowered by windows.", _DEPLOYMENT, _EACH
)
NEXT_CUT_OVER = Metric(
    "finsight_policy_next_cut_over_timestamp_seconds",
    "gauge",
    "Unix time at which other numbers of the policy begin to hold; absent where none do within a year.",
    _DEPLOYMENT,
    _EACH,
)
CUT_OVERS_LATE = Metric(
    "finsight_policy_cut_overs_late",
    "counter",
    "Cut-overs that were acted on more than 5 s after their time.",
    _DEPLOYMENT,
    _EACH,
)
PROMISED_TTFT = Metric(
    "finsight_slo_p99_ttft_seconds",
    "gauge",
    "The promised 99th percentile of the time to first token; absent where the policy promises none.",
    _DEPLOYMENT,
    _EACH,
)
REPLICAS = Metric(
    "finsight_replicas",
    "gauge",
    "Replicas by the orchestrator's word.",
    ("deployment", "state"),
    f"deployments × {len(REPLICA_STATES)}",
)
REPLICAS_EVICTING = Metric(
    "finsight_replicas_evicting", "gauge", "Replicas that were told to go and have not gone.", _DEPLOYMENT, _EACH
)
PROBED_REPLICAS = Metric(
    "finsight_probed_replicas",
    "gauge",
    "Ready replicas by the verdict of their last probe; busy: failed, and excused since tokens were produced.",
    ("deployment", "verdict"),
    f"deployments × {len(VERDICTS)}",
)
COLD_START = Metric(
    "finsight_cold_start_seconds",
    "gauge",
    "The longest of the last five starts of a replica; absent before one was measured.",
    _DEPLOYMENT,
    _EACH,
)
RUNNING = Metric(
    "finsight_requests_running",
    "gauge",
    "Requests that the engines are working on, by their own figures at the last probe; absent where none says.",
    _DEPLOYMENT,
    _EACH,
)
WAITING = Metric(
    "finsight_requests_waiting",
    "gauge",
    "Requests queued in the engines, by their own figures at the last probe; absent where none says.",
    _DEPLOYMENT,
    _EACH,
)
BREAKER_STATE = Metric(
    "finsight_breaker_state",
    "gauge",
    "1 for the state in which a deployment's breaker is, 0 for the others.",
    ("deployment", "state"),
    f"deployments × {len(BREAKER_STATES)}",
)
BACKEND_STATE = Metric(
    "finsight_backend_state",
    "gauge",
    "1 for the condition of a backend, or of the load balancer, as the controller sees it; 0 for the others.",
    ("backend", "state"),
    f"(backends + 1) × {len(CONDITIONS)}",
)
APPLY_FAILURES = Metric(
    "finsight_apply_failures",
    "counter",
    "Tries that did not put in force what is wanted, since the controller started.",
    ("backend",),
    "backends + 1",
)
STORE_FAILURES = Metric(
    "finsight_store_failures", "counter", "Tries to write the state that failed, since the controller started."
)
LEDGER_READABLE = Metric("finsight_ledger_readable", "gauge", "1 if the ledger could be read for this scrape, else 0.")
ROUTE_VERSION = Metric("finsight_route_version", "gauge", "The number of the route table that is wanted.")
ROUTE_VERSION_APPLIED = Metric(
    "finsight_route_version_applied", "gauge", "The number of the route table that the load balancer was given last."
)
ROUTE_WEIGHT = Metric(
    "finsight_route_weight_ratio",
    "gauge",
    'Share of a tenant\'s requests that is sent to a deployment now; to "": refused.',
    _TENANT,
    "tenants × (deployments + 1)",
)
STREAMS_OPEN = Metric(
    "finsight_streams_open",
    "gauge",
    "Requests that were let through and have not ended, as the load balancer counted them last; absent while unknown.",
    _TENANT,
    "tenants × deployments",
)
REQUESTS = Metric(
    "finsight_requests",
    "counter",
    "Requests that ended, by what became of them: the ledger's rows.",
    (*_TENANT, "outcome"),
    f"{_PAIR} × {len(OUTCOMES)}",
)
TURNED_AWAY = Metric(
    "finsight_requests_turned_away",
    "counter",
    "Of the complete requests: answered 4xx by the load balancer itself, as over a limit.",
    _TENANT,
    _PAIR,
)
PROMPT_TOKENS = Metric("finsight_prompt_tokens", "counter", "Tokens of prompts that were answered.", _TENANT, _PAIR)
COMPLETION_TOKENS = Metric("finsight_completion_tokens", "counter", "Tokens of answers.", _TENANT, _PAIR)
TTFT = Metric(
    "finsight_time_to_first_token_seconds",
    "histogram",
    "From a request's arrival to the first byte of its answer at the load balancer, of answers that are no error.",
    _TENANT,
    f"{_PAIR} × 15",
)
MIGRATION_START = Metric(
    "finsight_migration_step_start_timestamp_seconds",
    "gauge",
    "Unix time at which the phase began in which a tenant's migration is, or the step of its phase shifting.",
    (*_MOVED, "phase"),
    "tenants",
)
MIGRATION_HOLD = Metric(
    "finsight_migration_hold_seconds", "gauge", "How long each step of a migration lasts at least.", _MOVED, "tenants"
)
MIGRATION_SHARE = Metric(
    "finsight_migration_share_ratio",
    "gauge",
    "Share of a tenant's requests that its migration sends to the destination.",
    _MOVED,
    "tenants",
)
MIGRATION_PAUSED = Metric("finsight_migration_paused", "gauge", "1 while a migration is paused.", _MOVED, "tenants")
KEY_EXPIRY = Metric(
    "finsight_tenant_key_expiry_timestamp_seconds",
    "gauge",
    "Unix time at which the first of a tenant's earlier keys ends; absent where no key was rotated with a grace.",
    ("tenant",),
    "tenants",
)
CERTIFICATE_EXPIRY = Metric(
    "finsight_tls_certificate_expiry_timestamp_seconds",
    "gauge",
    "Unix time at which the endpoint's certificate runs out; absent without TLS.",
)

METRICS: tuple[Metric, ...] = tuple(value for value in vars().values() if isinstance(value, Metric))
