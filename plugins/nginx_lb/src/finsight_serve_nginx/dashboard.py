"""What nginx itself counts, before the ledger has it. Pure."""

from finsight_serve.domain import Dashboard
from finsight_serve.domain.dashboard import Panel, Query, Row

_WHERE = '{stack=~"$stack",deployment=~"$deployment"}'


def _rate(name: str) -> str:
    return f"sum by (deployment) (rate({name}{_WHERE}[$__rate_interval]))"


ADMISSION = Row(
    "Admission",
    (
        Panel(
            "In work",
            "count",
            (Query(f"sum by (deployment) (finsight_ongoing_requests{_WHERE})", "{{deployment}}"),),
            "Requests that were let through and have not ended.",
        ),
        Panel(
            "Shed",
            "requests/s",
            (Query(_rate("finsight_shed_requests_total"), "{{deployment}}"),),
            "Answered 503 at once, since the deployment had as many in work as it may.",
            alerts=("FinSightRequestsShed",),
        ),
        Panel(
            "Without a replica",
            "requests/s",
            (Query(_rate("finsight_refused_requests_total"), "{{deployment}}"),),
            "Answered 503, since no replica was ready.",
        ),
    ),
)

DASHBOARD = Dashboard("nginx", "FinSight: nginx", (ADMISSION,))
