"""What wakes people, and which section of the runbook they read.

Thresholds that fs.yaml sets are asked of the metrics, so that `fs apply` changes them and these rules stay as they are.
What a plugin's own series say, the plugin watches for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..domain import Alert
from ..domain.monitoring import Severity
from . import metrics as m
from .recording import error_ratio, ttft

RUNBOOK = "finsight_failure_runbook.md"
CONTROLLER_JOB, JOBS = "finsight-controller", "finsight-.+"
OBJECTIVE = 0.999
"""Share of the requests that are to be answered whole; over thirty days the rest is the error budget."""


@dataclass(frozen=True)
class Burn:
    """The budget is used up so many times as fast as it may be, over a long window and, still, over a short one."""

    factor: float
    long: str
    short: str
    for_s: int
    severity: Severity


BURNS = (
    Burn(14.4, "1h", "5m", 120, "critical"),  # 2 % of the budget in an hour
    Burn(6, "6h", "30m", 120, "critical"),  # 5 % in six hours
    Burn(3, "1d", "2h", 900, "warning"),  # 10 % in a day
    Burn(1, "3d", "6h", 900, "warning"),  # 10 % in three days
)
"""Multiwindow, multi-burn-rate, with the factors of Google's SRE workbook ("Alerting on SLOs")."""

DAY_S, HOUR_S = 86400, 3600
CERTIFICATE_DAYS = 14
KEY_HOURS = 2
OVERDUE_S = 60
"""Several scrapes after a cut-over's time, by which the next one should be told of."""
STUCK_S = 1800
"""Beyond the hold of its step."""
WAITS_S = (OVERDUE_S, STUCK_S)
"""Times that stand in expressions as plain numbers; who makes haste with the rules divides them, too."""

READY = f'{m.REPLICAS.name}{{state="ready"}}'
EACH = "on (stack, deployment)"
MOVED = "on (stack, tenant, destination)"


def alerts(plugins: Sequence[Alert] = ()) -> tuple[Alert, ...]:
    """`plugins`: what those of the stack watch for themselves."""
    return (
        *_of_replicas(),
        *_of_load(),
        *_of_the_budget(),
        *_of_backends(),
        *_of_the_controller(),
        *_of_changes(),
        *_of_what_ends(),
        *plugins,
    )


def _of_replicas() -> Iterator[Alert]:
    yield Alert(
        "FinSightNoReplicaReady",
        f"{READY} == 0 and {EACH} {m.POLICY_MIN.name} > 0",
        60,
        "critical",
        "Deployment {{ $labels.deployment }} has no ready replica",
        "Its requests go to another deployment of the same model, or are answered 503.",
        "worker-lost",
    )
    yield Alert(
        "FinSightReplicasBelowFloor",
        f"{READY} < {EACH} {m.POLICY_MIN.name}",
        300,
        "warning",
        "Deployment {{ $labels.deployment }} has {{ $value }} ready replicas, fewer than its floor",
        "Those that start are not ready yet, or the backend can't start them: quota, memory, a broken image.",
        "worker-lost",
    )
    yield Alert(
        "FinSightProbeFailing",
        f'sum by (stack, deployment) ({m.PROBED_REPLICAS.name}{{verdict=~"refused|timeout|saturated|wrong"}}) > 0',
        60,
        "warning",
        "{{ $value }} replicas of {{ $labels.deployment }} fail their probes",
        "Two failures in a row evict a replica: probes that keep failing say that replacing it does not help.",
        "replica-hung",
    )
    yield Alert(
        "FinSightBreakerOpen",
        f'{m.BREAKER_STATE.name}{{state="open"}} == 1',
        0,
        "critical",
        "The breaker of {{ $labels.deployment }} is open",
        "Too many of its answers failed, broke off or came late: it gets no requests until it is tried again.",
        "replica-hung",
    )


def _of_load() -> Iterator[Alert]:
    yield Alert(
        "FinSightQueueDeep",
        f"{m.WAITING.name} / {EACH} ({READY} > 0) > {EACH} {m.POLICY_TARGET.name}",
        300,
        "warning",
        "{{ $value | humanize }} requests wait at each replica of {{ $labels.deployment }}",
        "More are queued than a replica should have at all: scaling does not keep up, or the ceiling is reached.",
        "overload",
    )
    yield Alert(
        "FinSightTimeToFirstTokenHigh",
        f"{ttft(0.99)} > {EACH} {m.PROMISED_TTFT.name}",
        300,
        "warning",
        "p99 of the time to first token of {{ $labels.deployment }} is {{ $value | humanizeDuration }}",
        "The policy's slo.p99_ttft_s promises less.",
        "overload",
    )


def _of_the_budget() -> Iterator[Alert]:
    for burn in BURNS:
        limit = f"{burn.factor:g} * (1 - {OBJECTIVE})"
        yield Alert(
            f"FinSightErrorBudgetBurn{burn.long}",
            f"{error_ratio(burn.long)} > {limit} and {error_ratio(burn.short)} > {limit}",
            burn.for_s,
            burn.severity,
            f"{{{{ $value | humanizePercentage }}}} of the requests of the last {burn.long} failed or broke off",
            f"That uses the error budget up {burn.factor:g} times as fast as an objective of {OBJECTIVE:.1%} allows.",
            "error-budget-burning",
        )


def _of_backends() -> Iterator[Alert]:
    def is_in(states: str, backend: str) -> str:
        return f'{m.BACKEND_STATE.name}{{{backend},state=~"{states}"}} == 1'

    yield Alert(
        "FinSightBackendUnreachable",
        is_in("unreachable", f'backend!="{m.LOAD_BALANCER}"'),
        60,
        "critical",
        "The controller can't reach backend {{ $labels.backend }}",
        "Its replicas may serve on; nothing is scaled, replaced or seen there meanwhile.",
        "head-lost",
    )
    yield Alert(
        "FinSightLoadBalancerDown",
        is_in("unreachable|down", f'backend="{m.LOAD_BALANCER}"'),
        30,
        "critical",
        "The load balancer is {{ $labels.state }}",
        "It does not run and can't be started, or the controller can't look at it: clients may get no answer.",
        "load-balancer-down",
    )
    yield Alert(
        "FinSightNotApplied",
        is_in("not_applied", 'backend!=""'),
        300,
        "warning",
        "What is wanted of {{ $labels.backend }} can't be put in force",
        "`fs status` says why; it is tried again and again, and what was in force before goes on.",
        "bad-policy-applied",
    )


def _of_the_controller() -> Iterator[Alert]:
    up = f'up{{job="{CONTROLLER_JOB}"}}'
    yield Alert(
        "FinSightControllerDown",
        f"{up} == 0 or absent({up})",
        60,
        "critical",
        "The controller answers no scrape",
        "Traffic goes on; nothing is scaled by schedule, evicted or rerouted until it runs again.",
        "controller-down",
    )
    yield Alert(
        "FinSightMetricsAbsent",
        f'up{{job=~"{JOBS}",job!="{CONTROLLER_JOB}"}} == 0 or {m.LEDGER_READABLE.name} == 0',
        300,
        "warning",
        "No metrics of {{ $labels.job }} {{ $labels.instance }}",
        "What is drawn and watched for is incomplete: the process, its port or the ledger can't be read.",
        "metrics-lost",
    )
    yield Alert(
        "FinSightStateNotStored",
        f"increase({m.STORE_FAILURES.sample}[2m]) > 0",
        0,
        "critical",
        "The controller can't write its state",
        "Nothing new is decided until it can; the usual reason is a full disk.",
        "disk-full",
    )


def _of_changes() -> Iterator[Alert]:
    due = m.NEXT_CUT_OVER.name
    while_down = f'last_over_time({due}[1d]) unless on (stack) up{{job="{CONTROLLER_JOB}"}} == 1'
    yield Alert(
        "FinSightCutOverMissed",
        f"increase({m.CUT_OVERS_LATE.sample}[15m]) > 0 or time() - ({due} or {while_down}) > {OVERDUE_S}",
        0,
        "critical",
        "A cut-over of {{ $labels.deployment }} was missed",
        "A window opened or closed, and its numbers came late or are not in force yet.",
        "cut-over-missed",
    )
    began, hold = m.MIGRATION_START.name, m.MIGRATION_HOLD.name
    yield Alert(
        "FinSightMigrationStuck",
        f'time() - {began}{{phase!="planned"}} > {MOVED} group_left () ({hold} + {STUCK_S})'
        f" unless {MOVED} {m.MIGRATION_PAUSED.name} == 1",
        0,
        "warning",
        "The migration of {{ $labels.tenant }} to {{ $labels.destination }} is stuck in {{ $labels.phase }}",
        f"Nothing has moved for {STUCK_S // 60} minutes beyond its hold; `fs migrate explain` says what it waits for.",
        "migration-stuck",
    )


def _of_what_ends() -> Iterator[Alert]:
    yield Alert(
        "FinSightCertificateExpiring",
        f"{m.CERTIFICATE_EXPIRY.name} - time() < {CERTIFICATE_DAYS * DAY_S}",
        0,
        "warning",
        "The endpoint's certificate runs out in {{ $value | humanizeDuration }}",
        "Clients refuse the endpoint from then on; a new file is taken up without a restart.",
        "certificate-or-key-expiring",
    )
    yield Alert(
        "FinSightKeyExpiring",
        f"{m.KEY_EXPIRY.name} - time() < {KEY_HOURS * HOUR_S}",
        0,
        "warning",
        "An earlier key of tenant {{ $labels.tenant }} ends in {{ $value | humanizeDuration }}",
        "It was rotated: whoever has not changed to the new key by then is answered 401.",
        "certificate-or-key-expiring",
    )
