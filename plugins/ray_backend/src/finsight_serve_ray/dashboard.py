"""What Ray tells of its replicas and nodes, by the scrape jobs that this plugin brings. Pure."""

from finsight_serve.domain import Dashboard
from finsight_serve.domain.dashboard import Panel, Query, Row, State, Step

from .monitoring import EACH, HEARTBEAT

_WHERE = '{stack=~"$stack",backend=~"$backend"}'
_NODE = "{{backend}} {{instance}}"


def _of_nodes(name: str) -> str:
    return f"max by (backend, instance) ({name}{_WHERE})"


SERVE = Row(
    "Serve",
    (
        Panel(
            "Dashboard",
            "count",
            (
                Query(
                    f"group {EACH} ({HEARTBEAT}{_WHERE}) or 0 * group {EACH} (last_over_time({HEARTBEAT}{_WHERE}[1d]))",
                    "{{backend}}",
                ),
            ),
            "Whether the head's dashboard exports its heartbeat.",
            "states",
            alerts=("RayDashboardHeartbeatLost", "RayHeadRestarted"),
            states=(State("lost", "critical"), State("heard", "ok")),
        ),
        Panel(
            "Requests at replicas",
            "count",
            (
                Query(
                    f"sum by (application, replica) (ray_serve_replica_processing_queries{_WHERE})",
                    "{{application}} {{replica}}",
                ),
            ),
            "In work, as Serve counts them for its autoscaler.",
        ),
        Panel(
            "Healthy replicas",
            "count",
            (
                Query(
                    f"sum by (application) (ray_serve_deployment_replica_healthy{_WHERE})",
                    "{{application}}",
                ),
            ),
            "By Serve's own health checks.",
        ),
        Panel(
            "Autoscaler",
            "count",
            (
                Query(
                    f"max by (application) (ray_serve_autoscaling_desired_replicas{_WHERE})", "{{application}}: desired"
                ),
                Query(
                    f"max by (application) (ray_serve_autoscaling_target_replicas{_WHERE})", "{{application}}: target"
                ),
                Query(
                    f"max by (application) (ray_serve_autoscaling_total_requests{_WHERE})", "{{application}}: requests"
                ),
            ),
            "What it makes of the requests, before and after its delays and bounds.",
        ),
    ),
)
NODES = Row(
    "Nodes",
    (
        Panel(
            "Processors",
            "ratio",
            (Query(f"{_of_nodes('ray_node_cpu_utilization')} / 100", _NODE),),
            "Share of a node's processors that is busy.",
            steps=(Step("ok"), Step("warning", 0.9)),
        ),
        Panel(
            "Memory",
            "ratio",
            (Query(f"{_of_nodes('ray_node_mem_used')} / {_of_nodes('ray_node_mem_total')}", _NODE),),
            "Share in use: near the whole Ray ends workers.",
            steps=(Step("ok"), Step("warning", 0.85), Step("critical", 0.95)),
        ),
        Panel(
            "Disk free",
            "bytes",
            (Query(_of_nodes("ray_node_disk_free"), _NODE),),
            "Where Ray keeps its sessions and logs.",
        ),
    ),
)

DASHBOARD = Dashboard("ray", "FinSight: Ray", (SERVE, NODES))
