"""For each alert what makes it fire, and what does not. Series are in promtool's notation; time begins at 0."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from finsight_serve.observability.metrics import CONDITIONS

CHAT = 'stack="s",deployment="chat"'
MOVING = 'stack="s",tenant="acme",destination="code"'
CONTROLLER = 'up{job="finsight-controller",stack="s"}'
NEXT = f"finsight_policy_next_cut_over_timestamp_seconds{{{CHAT}}}"
LATE = f"finsight_policy_cut_overs_late_total{{{CHAT}}}"
HEARTBEAT = 'ray_dashboard_event_loop_tasks{stack="s",backend="ray",Component="dashboard"}'
ASKED = (
    'ray_dashboard_api_requests_duration_seconds_count{stack="s",backend="ray",endpoint="prometheus_service_discovery"}'
)
ELSEWHERE = ASKED.replace('"ray",', '"ray",SessionName="another",')
DAY_S = 86400


@dataclass(frozen=True)
class Case:
    alert: str
    what: str
    at: str  # promtool's duration
    series: Mapping[str, str]
    fires: Mapping[str, str] | None = None  # its labels but severity, and `summary`; None: it doesn't
    interval: str = field(default="15s", kw_only=True)


def steady(value: float) -> str:
    return f"{float(value):g}+0x400"


def ready(count: int, floor: int = 1) -> Mapping[str, str]:
    return {
        f'finsight_replicas{{{CHAT},state="ready"}}': steady(count),
        f'finsight_replicas{{{CHAT},state="starting"}}': steady(0),
        f"finsight_policy_min_replicas{{{CHAT}}}": steady(floor),
    }


def probed(**verdicts: int) -> Mapping[str, str]:
    return {f'finsight_probed_replicas{{{CHAT},verdict="{name}"}}': steady(n) for name, n in verdicts.items()}


def breaker(now: str) -> Mapping[str, str]:
    states = ("closed", "open", "half_open")
    return {f'finsight_breaker_state{{{CHAT},state="{one}"}}': steady(one == now) for one in states}


def backend(name: str, now: str) -> Mapping[str, str]:
    series = 'finsight_backend_state{{stack="s",backend="{}",state="{}"}}'
    return {series.format(name, one): steady(one == now) for one in CONDITIONS}


def of_backend(name: str, state: str, summary: str) -> Mapping[str, str]:
    return {"stack": "s", "backend": name, "state": state, "summary": summary}


def shed(values: str) -> Mapping[str, str]:
    return {f'finsight_shed_requests_total{{{CHAT},tenant="acme"}}': values}


def queued(waiting: int, replicas: int) -> Mapping[str, str]:
    return {
        f"finsight_requests_waiting{{{CHAT}}}": steady(waiting),
        f'finsight_replicas{{{CHAT},state="ready"}}': steady(replicas),
        f"finsight_policy_target_ongoing_requests{{{CHAT}}}": steady(10),
    }


def slow(promised_s: float | None) -> Mapping[str, str]:
    """Every answer begins after 2.5 to 5 s."""
    name = f'finsight_time_to_first_token_seconds_bucket{{{CHAT},tenant="acme"'
    counts = {"1.0": "0+0x400", "2.5": "0+0x400", "5.0": "0+10x400", "+Inf": "0+10x400"}
    buckets = {f'{name},le="{bound}"}}': values for bound, values in counts.items()}
    return {**buckets, **({f"finsight_slo_p99_ttft_seconds{{{CHAT}}}": steady(promised_s)} if promised_s else {})}


def asked(complete: str, failed: str, *, away: str = "0+0x5000", failed_at: str = "chat") -> Mapping[str, str]:
    def requests(deployment: str, outcome: str) -> str:
        return f'finsight_requests_total{{stack="s",tenant="acme",deployment="{deployment}",outcome="{outcome}"}}'

    turned_away = 'finsight_requests_turned_away_total{stack="s",tenant="acme",deployment="chat"}'
    return {requests("chat", "complete"): complete, requests(failed_at, "failed"): failed, turned_away: away}


def moving(phase: str, paused: int = 0) -> Mapping[str, str]:
    return {
        f'finsight_migration_step_start_timestamp_seconds{{{MOVING},phase="{phase}"}}': steady(0),
        f"finsight_migration_hold_seconds{{{MOVING}}}": steady(60),
        f"finsight_migration_paused{{{MOVING}}}": steady(paused),
    }


def at_chat(summary: str, **labels: str) -> Mapping[str, str]:
    return {"stack": "s", "deployment": "chat", "summary": summary, **labels}


def burn(window: str, share: str) -> Mapping[str, str]:
    return {"stack": "s", "summary": f"{share} of the requests of the last {window} failed or broke off"}


NONE_READY = at_chat("Deployment chat has no ready replica", state="ready")
MISSED = at_chat("A cut-over of chat was missed")
IS_DOWN = {"job": "finsight-controller", "summary": "The controller answers no scrape"}
NGINX = {"stack": "s", "job": "finsight-nginx", "instance": "h:1"}
STUCK = {"stack": "s", "tenant": "acme", "destination": "code"}
IS_STUCK = "The migration of acme to code is stuck in shifting"
LOST = {"stack": "s", "backend": "ray", "summary": "Ray's dashboard on backend ray exports nothing any more"}
RESTARTED = {
    "stack": "s",
    "backend": "ray",
    "summary": "Ray's head on backend ray, or its dashboard, was restarted within the last 15 minutes",
}

CASES = (
    Case("FinSightNoReplicaReady", "none is ready", "2m", ready(0), NONE_READY),
    Case("FinSightNoReplicaReady", "one is ready", "2m", ready(1)),
    Case("FinSightNoReplicaReady", "none need be", "2m", ready(0, floor=0)),
    Case("FinSightNoReplicaReady", "just now", "45s", ready(0)),
    Case(
        "FinSightReplicasBelowFloor",
        "one of three",
        "6m",
        ready(1, floor=3),
        at_chat("Deployment chat has 1 ready replicas, fewer than its floor"),
    ),
    Case("FinSightReplicasBelowFloor", "all of three", "6m", ready(3, floor=3)),
    Case("FinSightReplicasBelowFloor", "a start takes minutes", "4m", ready(1, floor=3)),
    Case(
        "FinSightProbeFailing",
        "two fail",
        "2m",
        probed(ok=1, refused=1, wrong=1),
        at_chat("2 replicas of chat fail their probes"),
    ),
    Case("FinSightProbeFailing", "busy is not failing", "2m", probed(ok=1, busy=2, unprobed=1, wrong=0)),
    Case("FinSightBreakerOpen", "open", "1m", breaker("open"), at_chat("The breaker of chat is open", state="open")),
    Case("FinSightBreakerOpen", "tried again", "1m", breaker("half_open")),
    Case(
        "FinSightRequestsShed",
        "one a second",
        "8m",
        shed("0+15x40"),
        {"stack": "s", "deployment": "chat", "summary": "1 requests a second to chat are turned away"},
    ),
    Case("FinSightRequestsShed", "none any more", "12m", shed("0+15x10 150x40")),
    Case(
        "FinSightQueueDeep",
        "twenty at each, ten are the target",
        "6m",
        queued(40, 2),
        at_chat("20 requests wait at each replica of chat"),
    ),
    Case("FinSightQueueDeep", "five at each", "6m", queued(10, 2)),
    Case("FinSightQueueDeep", "no replica to wait at", "6m", queued(10, 0)),
    Case(
        "FinSightTimeToFirstTokenHigh",
        "two seconds are promised",
        "15m",
        slow(2.0),
        at_chat("p99 of the time to first token of chat is 4.975s"),
    ),
    Case("FinSightTimeToFirstTokenHigh", "six are promised", "15m", slow(6.0)),
    Case("FinSightTimeToFirstTokenHigh", "none are promised", "15m", slow(None)),
    Case("FinSightErrorBudgetBurn1h", "2 % fail", "90m", asked("0+98x400", "0+2x400"), burn("1h", "2%")),
    Case(
        "FinSightErrorBudgetBurn1h",
        "no deployment takes them",
        "90m",
        asked("0+98x400", "0+2x400", failed_at=""),
        burn("1h", "2%"),
    ),
    Case(
        "FinSightErrorBudgetBurn1h",
        "who is over a limit does not hide it",
        "90m",
        asked("0+9998x400", "0+2x400", away="0+9900x400"),
        burn("1h", "2%"),
    ),
    Case("FinSightErrorBudgetBurn1h", "1 % fail", "90m", asked("0+99x400", "0+1x400")),
    Case("FinSightErrorBudgetBurn1h", "it is over", "90m", asked("0+98x400", "0+2x300 600+0x100")),
    Case("FinSightErrorBudgetBurn1h", "nobody asks", "90m", asked("5+0x400", "5+0x400")),
    Case("FinSightErrorBudgetBurn6h", "1 % fail", "8h", asked("0+99x500", "0+1x500"), burn("6h", "1%"), interval="1m"),
    Case("FinSightErrorBudgetBurn6h", "0.5 % fail", "8h", asked("0+199x500", "0+1x500"), interval="1m"),
    Case(
        "FinSightErrorBudgetBurn1d",
        "0.5 % fail",
        "30h",
        asked("0+199x1000", "0+1x1000"),
        burn("1d", "0.5%"),
        interval="5m",
    ),
    Case("FinSightErrorBudgetBurn1d", "0.2 % fail", "30h", asked("0+998x1000", "0+2x1000"), interval="5m"),
    Case(
        "FinSightErrorBudgetBurn3d",
        "0.2 % fail",
        "80h",
        asked("0+998x1000", "0+2x1000"),
        burn("3d", "0.2%"),
        interval="5m",
    ),
    Case("FinSightErrorBudgetBurn3d", "0.05 % fail", "80h", asked("0+1999x1000", "0+1x1000"), interval="5m"),
    Case(
        "FinSightBackendUnreachable",
        "its API is gone",
        "2m",
        backend("ray", "unreachable"),
        of_backend("ray", "unreachable", "The controller can't reach backend ray"),
    ),
    Case("FinSightBackendUnreachable", "it is there", "2m", backend("ray", "ok")),
    Case("FinSightBackendUnreachable", "the load balancer has its own", "2m", backend("load_balancer", "unreachable")),
    Case(
        "FinSightLoadBalancerDown",
        "it is gone",
        "1m",
        backend("load_balancer", "unreachable"),
        of_backend("load_balancer", "unreachable", "The load balancer is unreachable"),
    ),
    Case(
        "FinSightLoadBalancerDown",
        "nothing is in force",
        "1m",
        backend("load_balancer", "down"),
        of_backend("load_balancer", "down", "The load balancer is down"),
    ),
    Case("FinSightLoadBalancerDown", "it is there", "1m", backend("load_balancer", "ok")),
    Case("FinSightLoadBalancerDown", "a backend is none", "1m", backend("ray", "unreachable")),
    Case(
        "FinSightNotApplied",
        "no quota",
        "6m",
        backend("ray", "not_applied"),
        of_backend("ray", "not_applied", "What is wanted of ray can't be put in force"),
    ),
    Case("FinSightNotApplied", "it was tried for a while", "4m", backend("ray", "not_applied")),
    Case("FinSightControllerDown", "no answer", "2m", {CONTROLLER: steady(0)}, {"stack": "s", **IS_DOWN}),
    Case("FinSightControllerDown", "nothing is scraped", "2m", {'up{job="x"}': steady(1)}, IS_DOWN),
    Case("FinSightControllerDown", "it answers", "2m", {CONTROLLER: steady(1)}),
    Case(
        "FinSightMetricsAbsent",
        "a target is gone",
        "6m",
        {'up{job="finsight-nginx",stack="s",instance="h:1"}': steady(0)},
        {**NGINX, "summary": "No metrics of finsight-nginx h:1"},
    ),
    Case(
        "FinSightMetricsAbsent",
        "the ledger can't be read",
        "6m",
        {'finsight_ledger_readable{stack="s",job="finsight-controller",instance="h:2"}': steady(0)},
        {
            "stack": "s",
            "job": "finsight-controller",
            "instance": "h:2",
            "summary": "No metrics of finsight-controller h:2",
        },
    ),
    Case("FinSightMetricsAbsent", "all is there", "6m", {'up{job="finsight-nginx"}': steady(1)}),
    Case("FinSightMetricsAbsent", "somebody else's", "6m", {'up{job="node"}': steady(0), CONTROLLER: steady(0)}),
    Case(
        "FinSightStateNotStored",
        "each try fails",
        "5m",
        {'finsight_store_failures_total{stack="s"}': "0+1x400"},
        {"stack": "s", "summary": "The controller can't write its state"},
    ),
    Case("FinSightStateNotStored", "it is over", "5m", {'finsight_store_failures_total{stack="s"}': "0+1x4 4+0x400"}),
    Case("FinSightCutOverMissed", "one came late", "5m", {LATE: "0+0x8 1+0x400"}, MISSED),
    Case("FinSightCutOverMissed", "one came late long ago", "30m", {LATE: "0+0x8 1+0x400"}),
    Case("FinSightCutOverMissed", "its time passes, and nothing", "10m", {NEXT: steady(300)}, MISSED),
    Case("FinSightCutOverMissed", "its time is to come", "10m", {NEXT: steady(6000), CONTROLLER: steady(1)}),
    Case("FinSightCutOverMissed", "nobody is there", "10m", {NEXT: "300+0x4 stale", CONTROLLER: steady(0)}, MISSED),
    Case("FinSightCutOverMissed", "it was taken out", "10m", {NEXT: "300+0x4 stale", CONTROLLER: steady(1)}),
    Case(
        "FinSightMigrationStuck",
        "a step that does not end",
        "40m",
        moving("shifting"),
        {**STUCK, "phase": "shifting", "summary": IS_STUCK},
    ),
    Case("FinSightMigrationStuck", "it takes a while", "20m", moving("shifting")),
    Case("FinSightMigrationStuck", "it is paused", "40m", moving("shifting", paused=1)),
    Case("FinSightMigrationStuck", "it waits for its wave", "40m", moving("planned")),
    Case(
        "FinSightCertificateExpiring",
        "a day is left",
        "1m",
        {'finsight_tls_certificate_expiry_timestamp_seconds{stack="s"}': steady(DAY_S + 60)},
        {"stack": "s", "summary": "The endpoint's certificate runs out in 1d 0h 0m 0s"},
    ),
    Case(
        "FinSightCertificateExpiring",
        "a month is left",
        "1m",
        {'finsight_tls_certificate_expiry_timestamp_seconds{stack="s"}': steady(30 * DAY_S)},
    ),
    Case(
        "FinSightKeyExpiring",
        "an hour is left",
        "1m",
        {'finsight_tenant_key_expiry_timestamp_seconds{stack="s",tenant="acme"}': steady(3660)},
        {"stack": "s", "tenant": "acme", "summary": "An earlier key of tenant acme ends in 1h 0m 0s"},
    ),
    Case(
        "FinSightKeyExpiring",
        "a day is left",
        "1m",
        {'finsight_tenant_key_expiry_timestamp_seconds{stack="s",tenant="acme"}': steady(DAY_S)},
    ),
    Case("RayDashboardHeartbeatLost", "it was there", "5m", {HEARTBEAT: "7+0x8 stale"}, LOST),
    Case("RayDashboardHeartbeatLost", "it is there", "5m", {HEARTBEAT: steady(7)}),
    Case("RayDashboardHeartbeatLost", "there is no such backend", "5m", {CONTROLLER: steady(1)}),
    Case("RayHeadRestarted", "it counts from the beginning", "3m", {ASKED: "1+1x8 1+1x400"}, RESTARTED),
    Case("RayHeadRestarted", "it was away for a scrape", "3m", {ASKED: "1+1x8 stale 1+1x400"}, RESTARTED),
    Case("RayHeadRestarted", "in another session", "3m", {ASKED: "1+1x8 stale", ELSEWHERE: "_x9 1+1x400"}, RESTARTED),
    Case("RayHeadRestarted", "that was long ago", "20m", {ASKED: "1+1x8 1+1x400"}),
    Case("RayHeadRestarted", "it counts on", "3m", {ASKED: "1+1x400"}),
)
