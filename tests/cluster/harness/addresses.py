"""Which addresses a cluster has. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network

FIRST, LAST = 80, 239
"""The second octet of 10.N.0.0/16, of which a cluster takes the first that nothing here routes."""


@dataclass(frozen=True)
class Addresses:
    net: IPv4Network  # a /16

    @property
    def pods(self) -> IPv4Network:
        return next(self.net.subnets(new_prefix=20))

    @property
    def services(self) -> IPv4Network:
        return list(self.net.subnets(new_prefix=20))[8]

    @property
    def link(self) -> IPv4Network:
        """Between the host and the node."""
        return list(self.net.subnets(new_prefix=30))[-1]

    @property
    def host(self) -> str:
        return str(self.link[1])

    @property
    def node(self) -> str:
        return str(self.link[2])

    @property
    def pod_gateway(self) -> str:
        return str(self.pods[1])

    @property
    def api_service(self) -> str:
        return str(self.services[1])

    @property
    def dns_service(self) -> str:
        return str(self.services[10])


def choose_addresses(taken: Iterable[str]) -> Addresses:
    """The first /16 that overlaps none of `taken` (CIDRs). Raises `LookupError` when all do."""
    used = [IPv4Network(cidr, strict=False) for cidr in taken]
    for octet in range(FIRST, LAST + 1):
        net = IPv4Network(f"10.{octet}.0.0/16")
        if not any(net.overlaps(other) for other in used):
            return Addresses(net)
    raise LookupError("no free 10.N.0.0/16 is left")
