"""Where a Gateway or an Ingress is reached, as its controller says in the status. Pure."""

from collections.abc import Mapping
from typing import Any

from ..kinds import Json

HTTP_PORT = 80


def gateway_address(gateway: Json, listener: str | None) -> str:
    """host:port of the listener, else of the first that speaks plain HTTP; "" where there is none (yet)."""
    ports = [
        one["port"]
        for one in gateway["spec"].get("listeners", ())
        if one["protocol"] == "HTTP" and listener in (None, one["name"])
    ]
    hosts = [one["value"] for one in gateway.get("status", {}).get("addresses", ())]
    return _joined(hosts[0], ports[0]) if hosts and ports else ""


def ingress_address(ingress: Json) -> str:
    """Where Ingresses of one class are reached is said in each of them."""
    found: Mapping[str, Any] = next(iter(ingress.get("status", {}).get("loadBalancer", {}).get("ingress", ())), {})
    host = found.get("ip") or found.get("hostname") or ""
    return _joined(host, HTTP_PORT) if host else ""


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
