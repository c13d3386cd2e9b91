"""Route table → nginx's files. Pure: no clock, no disk but the package's own templates, no path of this machine."""

import re
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from typing import Any
from urllib.parse import quote, unquote

import jinja2

from finsight_serve.plugin import REFUSED, Artefact, Limits, Route, RouteTable

from .options import Options
from .refusals import refusals
from .validation import check

SCRIPTS = ("endpoint.js", "admission.js", "allowance.js", "held.js", "room.js", "answer.js", "control.js")
METRICS_SCRIPT = "metrics.js"


def encode(name: str) -> str:
    """A name without any character that nginx's configuration or its log gives a meaning to."""
    return quote(name, safe="")


def decode(text: str) -> str:
    return unquote(text)


def upstream_group(deployment: str) -> str:
    """nginx compares group names without regard to case, so capitals are escaped too."""
    escaped = re.sub(r"[^a-z0-9-]", lambda char: "".join(f"_{byte:02x}" for byte in char[0].encode()), deployment)
    return f"deployment-{escaped}"


def render(table: RouteTable, options: Options) -> tuple[Artefact, ...]:
    """The files of one configuration. Raises `ValueError` naming what a route table may not hold."""
    check(table)
    package = resources.files(__package__)
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (package / "templates" / name).read_text("utf-8")),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

    def file(name: str, values: Mapping[str, Any], *, secret: bool = False) -> Artefact:
        return Artefact(name, environment.get_template(f"{name}.j2").render(values), secret)

    def script(name: str) -> Artefact:
        return Artefact(name, (package / "njs" / name).read_text("utf-8"))

    return (
        file("nginx.conf", _main(table, options)),
        file("tenants.conf", _tenants(table.routes, bool(options.metrics_listen))),
        file("upstream_keys.conf", _upstream_keys(table.upstream_keys), secret=True),
        *map(script, SCRIPTS),
        *(_metrics(table.routes, file, script) if options.metrics_listen else ()),
    )


def _metrics(
    routes: Iterable[Route], file: Callable[[str, Mapping[str, Any]], Artefact], script: Callable[[str], Artefact]
) -> tuple[Artefact, ...]:
    places = sorted({(r.tenant, name) for r in routes for name in (*r.weights, *r.assigned)} - {REFUSED})
    inventory = [{"tenant": encode(tenant), "deployment": encode(name)} for tenant, name in places if name != REFUSED]
    return file("inventory.js", {"inventory": inventory}), script(METRICS_SCRIPT)


def _main(table: RouteTable, options: Options) -> dict[str, Any]:
    addresses: dict[str, set[str]] = {}
    for replica in table.replicas:
        addresses.setdefault(replica.deployment, set()).add(replica.address)
    tls = ["ssl_protocols TLSv1.2 TLSv1.3;"] if options.tls_certificate else []
    tls += [f'ssl_certificate "{options.tls_certificate}";'] if options.tls_certificate else []
    tls += [f'ssl_certificate_key "{options.tls_certificate_key}";'] if options.tls_certificate_key else []
    keys = sum(len(route.key_sha256) for route in table.routes)
    return {
        "workers": options.workers,
        "listen": options.listen + (" ssl" if tls else ""),
        "tls": tls,
        "max_body_size_bytes": options.max_body_size_bytes,
        "read_timeout_s": options.read_timeout_s,
        # nginx looks for a size without overfull buckets from the maximum down: sparse is quick to build
        "map_hash_max_size": max(2048, 8 * max(keys, len(table.routes))),
        "variables_hash_max_size": max(2048, 8 * len(_all_shares(table.routes))),
        "session_header": options.session_header,
        "session_variable": "$http_" + options.session_header.lower().replace("-", "_"),
        "route_version": table.version,
        "metrics_listen": options.metrics_listen,
        "retry_after_s": options.retry_after_s,
        "fronts": table.fronts,
        "bounds": [
            {"deployment": encode(name), "max_ongoing": bound}
            for name, bound in sorted(table.max_ongoing_requests.items())
        ],
        "spares": [
            {"deployment": encode(name), "spare": encode(spare)}
            for name, spare in sorted(table.spares.items())
            if spare in addresses
        ],
        "deployments": [encode(name) for name in sorted(table.upstream_keys)],
        "shadow_socket": table.shadow_socket if any(route.shadow_percent for route in table.routes) else "",
        "upstreams": [
            {"deployment": encode(name), "group": upstream_group(name), "addresses": sorted(addresses[name])}
            for name in sorted(addresses)
        ],
        "refusals": [
            {
                "name": refusal.name,
                "status": refusal.status,
                "body": refusal.body,
                "headers": [f"Retry-After {refusal.retry_after}"] if refusal.retry_after else [],
            }
            for refusal in refusals(options.max_body_size_bytes, options.retry_after_s)
        ],
    }


def _tenants(routes: Iterable[Route], counts_refusals: bool) -> dict[str, Any]:
    routes = sorted(routes, key=lambda route: route.tenant)
    elsewhere = [route for route in routes if counts_refusals and _shares(route.assigned) != _shares(route.weights)]
    shares = {_shares(route.weights) for route in routes} | {_shares(route.assigned) for route in elsewhere}
    variables = {weights: f"split_{n}" for n, weights in enumerate(sorted(w for w in shares if len(w) > 1))}
    shadows = [(encode(route.tenant), route.shadow_percent) for route in routes if route.shadow_percent]

    def deployment(weights: tuple[tuple[str, int], ...]) -> str:
        return "$" + variables[weights] if weights in variables else encode(weights[0][0])

    return {
        "keys": [
            {"sha256": key, "tenant": encode(route.tenant)} for route in routes for key in sorted(set(route.key_sha256))
        ],
        "limits": [
            {"tenant": encode(route.tenant), "numbers": _numbers(route.limits)}
            for route in routes
            if route.limits != Limits()
        ],
        "shadow_percents": sorted({percent for _, percent in shadows}),
        "shadows": [{"tenant": tenant, "percent": percent} for tenant, percent in shadows],
        "splits": [
            {
                "variable": variable,
                "shares": [{"percent": f"{percent}%", "deployment": encode(name)} for name, percent in weights[:-1]]
                + [{"percent": "*", "deployment": encode(weights[-1][0])}],
            }
            for weights, variable in variables.items()
        ],
        "assignments": [
            {"tenant": encode(route.tenant), "deployment": deployment(_shares(route.weights))}
            for route in routes
            if _shares(route.weights)
        ],
        "counts_refusals": counts_refusals,
        "assigned": [
            {"tenant": encode(route.tenant), "deployment": deployment(_shares(route.assigned))}
            for route in elsewhere
            if _shares(route.assigned)
        ],
    }


def _all_shares(routes: Iterable[Route]) -> set[tuple[tuple[str, int], ...]]:
    return {_shares(weights) for route in routes for weights in (route.weights, route.assigned)}


def _shares(weights: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """In the mapping's order: nginx gives out its hash's range in it, so that a share grows or shrinks in place."""
    return tuple((name, percent) for name, percent in weights.items() if percent > 0)


def _numbers(limits: Limits) -> str:
    numbers = (limits.max_ongoing_requests, limits.requests_per_s, limits.tokens_per_minute)
    return ",".join("-" if number is None else str(number) for number in numbers)


def _upstream_keys(keys: Mapping[str, str]) -> dict[str, Any]:
    return {"keys": [{"deployment": encode(name), "secret": keys[name]} for name in sorted(keys)]}
