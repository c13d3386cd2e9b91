"""What the controller may do at the API server: the rights that its plugins ask for, and no more. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ..kinds import ENDPOINT_SLICE, GATEWAY, HTTP_ROUTE, INGRESS, NETWORK_POLICY, SERVICE_ACCOUNT, Json
from ..options import Options
from ..readiness import CHANGED, Right, rights

GROUP = "rbac.authorization.k8s.io"


def role_objects(name: str, labels: Mapping[str, str], stack_file: str, options: Options) -> list[Json]:
    """Roles and who has them. `stack_file`: says whether the controller makes routes too, and for whose Gateway."""
    account = {"kind": SERVICE_ACCOUNT.kind, "name": name, "namespace": options.namespace}
    balancer = _gateway_options(stack_file)
    if balancer is None:
        return _bound(name, options.namespace, labels, rights(options), account)
    own = [*rights(options), *_of_routes()]
    place = str(balancer.get("gateway") or "").partition("/")[0]
    if place in ("", options.namespace):
        own += _at_gateway(balancer)
        return _bound(name, options.namespace, labels, own, account)
    return [
        *_bound(name, options.namespace, labels, own, account),
        *_bound(f"{name}-gateway", place, labels, tuple(_at_gateway(balancer)), account),
    ]


def _of_routes() -> Iterator[Right]:
    """What the load balancer `gateway` makes beside Services."""
    yield from (Right(verb, kind) for kind in (HTTP_ROUTE, ENDPOINT_SLICE, INGRESS) for verb in CHANGED)


def _at_gateway(balancer: Mapping[str, Any]) -> Iterator[Right]:
    yield Right("get", GATEWAY)
    if balancer.get("proxy_selector"):
        yield from (Right(verb, NETWORK_POLICY) for verb in CHANGED)


def _bound(
    name: str, namespace: str, labels: Mapping[str, str], asked: Sequence[Right], account: Mapping[str, str]
) -> list[Json]:
    meta = {"name": name, "namespace": namespace, "labels": dict(labels)}
    return [
        {"apiVersion": f"{GROUP}/v1", "kind": "Role", "metadata": meta, "rules": list(_rules(asked))},
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": name},
            "subjects": [dict(account)],
        },
    ]


def _rules(asked: Sequence[Right]) -> Iterator[Json]:
    """One for each API group and set of verbs."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for right in dict.fromkeys(asked):
        resource = f"{right.kind.plural}/{right.subresource}" if right.subresource else right.kind.plural
        verbs.setdefault((right.kind.group, resource), []).append(right.verb)
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), allowed in verbs.items():
        alike.setdefault((group, tuple(allowed)), []).append(resource)
    for (group, shared), resources in alike.items():
        yield {"apiGroups": [group], "resources": resources, "verbs": list(shared)}


def _gateway_options(stack_file: str) -> Mapping[str, Any] | None:
    """None where the file's load balancer is another."""
    try:
        written = YAML(typ="safe", pure=True).load(stack_file).get("load_balancer")
    except (YAMLError, AttributeError):
        return None
    balancer = written if isinstance(written, dict) else {"plugin": written}
    return balancer if balancer.get("plugin") == "gateway" else None
