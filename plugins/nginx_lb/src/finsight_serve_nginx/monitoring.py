"""What Prometheus watches for in nginx's own series. Pure."""

from finsight_serve.domain import Alert

ALERTS = (
    Alert(
        "FinSightRequestsShed",
        "sum by (stack, deployment) (rate(finsight_shed_requests_total[5m])) > 0",
        60,
        "warning",
        "{{ $value | humanize }} requests a second to {{ $labels.deployment }} are turned away",
        "It has as many requests in work as its ready replicas may have: 503 with Retry-After, at once.",
        "overload",
    ),
)
