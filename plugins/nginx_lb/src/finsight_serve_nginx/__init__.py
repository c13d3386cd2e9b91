"""nginx as the load balancer: keys, limits, weighted routing, fail-over and the ledger at one durable endpoint."""

from finsight_serve.plugin import LoadBalancer, hookimpl


@hookimpl
def load_balancer() -> type[LoadBalancer]:
    from .plugin import NginxLoadBalancer

    return NginxLoadBalancer
