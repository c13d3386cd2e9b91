"""Whether it is well: what clients get, what answers them, and whether the controller can do its work."""

from collections.abc import Mapping

from ...domain.dashboard import Dashboard, Health, Panel, Query, Row, State, Step
from .. import metrics as m
from ..alerts import BURNS, CERTIFICATE_DAYS, DAY_S, HOUR_S, JOBS, KEY_HOURS, OBJECTIVE, OVERDUE_S
from ..recording import WINDOWS, error_ratio, ttft
from .asking import FIRING, coded, of
from .shared import PROBES, QUEUE, READY, TTFT

BUDGET = 1 - OBJECTIVE
FASTEST, SLOWEST = BURNS[0].factor, BURNS[-1].factor
BREAKERS: Mapping[str, Health] = {"closed": "ok", "half_open": "warning", "open": "critical"}
CONDITIONS: Mapping[str, Health] = {
    "ok": "ok",
    "unseen": "warning",
    "unreachable": "critical",
    "down": "critical",
    "not_applied": "warning",
}
ANY_FAILURE = (Step("ok"), Step("critical", 1))


def _number(title: str, unit: str, expr: str, says: str, *steps: Step) -> Panel:
    return Panel(title, unit, (Query(expr),), says, "number", steps=steps, width=4)  # type: ignore[arg-type]


def _states(found: Mapping[str, Health]) -> tuple[State, ...]:
    return tuple(State(name.replace("_", " "), health) for name, health in found.items())


NOW = Row(
    "Now",
    (
        _number("Alerts", "count", f"count({FIRING}) or vector(0)", "How many alerts are firing.", *ANY_FAILURE),
        _number(
            "Requests",
            "requests/s",
            f"sum({of('deployment:finsight_requests:rate5m')})",
            "What ended in the last five minutes, a second.",
        ),
        _number(
            "Errors",
            "ratio",
            f"max({of(error_ratio('5m'))})",
            "Share of the requests of the last five minutes that failed or broke off.",
            Step("ok"),
            Step("warning", BUDGET * SLOWEST),
            Step("critical", BUDGET * FASTEST),
        ),
        _number("p99 to the first byte", "seconds", f"max({of(ttft(0.99))})", "The slowest deployment's."),
        _number(
            "Streams open", "count", f"sum({of(m.STREAMS_OPEN)})", "Requests that were let through and have not ended."
        ),
        _number("Ready replicas", "count", f"sum({of(m.REPLICAS, state='ready')})", "Of all deployments."),
        Panel(
            "Firing",
            "count",
            (Query(f"max by (alertname, severity, deployment, tenant, backend, job) ({FIRING})", "firing"),),
            "Which alerts are firing, and of what.",
            "table",
            width=24,
        ),
    ),
)

REQUESTS = Row(
    "What clients get",
    (
        Panel(
            "Requests by outcome",
            "requests/s",
            (Query(f"sum by (outcome) ({of('deployment:finsight_requests:rate5m')})", "{{outcome}}"),),
            "What became of them, as the ledger says.",
            stacked=True,
        ),
        Panel(
            "Errors by deployment",
            "ratio",
            (Query(of("deployment:finsight_requests_errors:ratio_rate5m"), "{{deployment}}"),),
            "Share of what a deployment was given that failed or broke off.",
        ),
        Panel(
            "Error budget burned",
            "count",
            tuple(
                Query(f"{of(error_ratio(window))} / (1 - {OBJECTIVE})", f"over {window}")
                for window in WINDOWS
                if window in {burn.long for burn in BURNS}
            ),
            f"How many times as fast as {OBJECTIVE:.1%} whole answers allow.",
            alerts=tuple(f"FinSightErrorBudgetBurn{burn.long}" for burn in BURNS),
            steps=(Step("ok"), Step("warning", SLOWEST), Step("critical", FASTEST)),
        ),
        TTFT,
        Panel(
            "Streams open by deployment",
            "count",
            (Query(f"sum by (deployment) ({of(m.STREAMS_OPEN)})", "{{deployment}}"),),
            "Requests that were let through and have not ended.",
        ),
        Panel(
            "Turned away",
            "requests/s",
            (Query(f"sum by (tenant) (rate({of(m.TURNED_AWAY)}[$__rate_interval]))", "{{tenant}}"),),
            "Answered 4xx by the load balancer itself, as over a limit or without a valid key.",
        ),
    ),
)

REPLICAS = Row(
    "What answers them",
    (
        READY,
        QUEUE,
        PROBES,
        Panel(
            "Breakers",
            "count",
            (Query(coded(m.BREAKER_STATE, "deployment", BREAKERS), "{{deployment}}"),),
            "Whether a deployment's answers are good enough to send it more.",
            "states",
            alerts=("FinSightBreakerOpen",),
            states=_states(BREAKERS),
            width=12,
        ),
        Panel(
            "Backends and the load balancer",
            "count",
            (Query(coded(m.BACKEND_STATE, "backend", CONDITIONS), "{{backend}}"),),
            "Their condition as the controller sees it.",
            "states",
            alerts=("FinSightBackendUnreachable", "FinSightLoadBalancerDown", "FinSightNotApplied"),
            states=_states(CONDITIONS),
            width=12,
        ),
    ),
)

CONTROLLER = Row(
    "The controller",
    (
        Panel(
            "Scraped",
            "count",
            (Query(f'min by (job) (up{{job=~"{JOBS}"}})', "{{job}}"),),
            "Whether Prometheus can read everything of a job.",
            "states",
            alerts=("FinSightControllerDown", "FinSightMetricsAbsent"),
            states=(State("lost", "critical"), State("read", "ok")),
        ),
        Panel(
            "Could not be done",
            "count",
            (
                Query(f"increase({of(m.APPLY_FAILURES)}[5m])", "applied: {{backend}}"),
                Query(f"increase({of(m.STORE_FAILURES)}[5m])", "stored"),
                Query(f"1 - {of(m.LEDGER_READABLE)}", "ledger read"),
            ),
            "Tries of five minutes that failed.",
            alerts=("FinSightStateNotStored", "FinSightNotApplied", "FinSightMetricsAbsent"),
        ),
        Panel(
            "Route tables behind",
            "count",
            (Query(f"{of(m.ROUTE_VERSION)} - on (stack) {of(m.ROUTE_VERSION_APPLIED)}", "{{stack}}"),),
            "How many tables newer the wanted one is than what the load balancer was given last.",
            alerts=("FinSightNotApplied",),
        ),
        Panel(
            "Next cut-over",
            "seconds",
            (
                Query(f"{of(m.NEXT_CUT_OVER)} - time()", "{{deployment}}"),
                Query(f"-{OVERDUE_S} * (group by (stack) ({of(m.BUILD_INFO)}))", "missed", is_bound=True),
            ),
            "Until other numbers of a policy begin to hold.",
            alerts=("FinSightCutOverMissed",),
        ),
        Panel(
            "Cut-overs late",
            "count",
            (Query(f"increase({of(m.CUT_OVERS_LATE)}[15m])", "{{deployment}}"),),
            "Acted on later than they were due, in a quarter of an hour.",
            alerts=("FinSightCutOverMissed",),
        ),
        Panel(
            "What ends",
            "seconds",
            (
                Query(f"{of(m.CERTIFICATE_EXPIRY)} - time()", "certificate"),
                Query(f"{of(m.KEY_EXPIRY)} - time()", "earlier key of {{tenant}}"),
            ),
            f"An alert fires {CERTIFICATE_DAYS} days before the certificate's end, {KEY_HOURS} hours before a key's.",
            alerts=("FinSightCertificateExpiring", "FinSightKeyExpiring"),
            steps=(Step("critical"), Step("warning", KEY_HOURS * HOUR_S), Step("ok", CERTIFICATE_DAYS * DAY_S)),
        ),
    ),
)

OVERVIEW = Dashboard("overview", "FinSight: overview", (NOW, REQUESTS, REPLICAS, CONTROLLER))
