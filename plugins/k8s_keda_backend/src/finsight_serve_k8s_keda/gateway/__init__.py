"""A Kubernetes Gateway (or Ingress) as a load balancer. Importing this package imports none of its own machinery."""

from finsight_serve.plugin import LoadBalancer, hookimpl


@hookimpl
def load_balancer() -> type[LoadBalancer]:
    from .gateway import GatewayLoadBalancer

    return GatewayLoadBalancer
