import pytest
from pydantic import ValidationError

from finsight_serve_k8s_keda.gateway.addresses import gateway_address, ingress_address
from finsight_serve_k8s_keda.gateway.network_policy import network_policies
from finsight_serve_k8s_keda.gateway.options import Options

from .tables import LABELS, options

CLOSED = {"proxy_selector": {"app": "envoy"}, "edge_selector": {"app": "edge"}, "edge_cidrs": ["192.0.2.9/32"]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"gateway": "public"},
        {"gateway": "a/b/c"},
        {"address": "host"},
        {"address": "http://host:80"},
        {"hostname": "llm.example.com"},
        {"hostname": "{tenant}.{tenant}.x"},
        {"gateway": "a/b", "proxy_selector": {"app": "envoy"}},
        {"proxy_selector": {"app": "envoy"}, "edge_cidrs": ["192.0.2.9/32"]},
        {"form": "route"},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate(wrong)


def test_a_gateway_is_closed_to_all_but_the_edge() -> None:
    assert list(network_policies(LABELS, options())) == []
    (policy,) = network_policies(LABELS, options(**CLOSED))
    assert policy["metadata"] == {"name": "public-from-edge", "namespace": "infra", "labels": LABELS}
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app": "envoy"}}
    edge = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "llm"}}}
    assert policy["spec"]["ingress"] == [
        {"from": [{"ipBlock": {"cidr": "192.0.2.9/32"}}, {**edge, "podSelector": {"matchLabels": {"app": "edge"}}}]}
    ]


def test_a_gateways_own_word_on_where_it_is() -> None:
    listeners = [{"name": "tls", "port": 443, "protocol": "HTTPS"}, {"name": "web", "port": 8080, "protocol": "HTTP"}]
    gateway = {"spec": {"listeners": listeners}, "status": {"addresses": [{"type": "IPAddress", "value": "192.0.2.7"}]}}
    assert gateway_address(gateway, None) == "192.0.2.7:8080"
    assert gateway_address(gateway, "web") == "192.0.2.7:8080"
    assert gateway_address(gateway, "tls") == "", "the edge speaks plain HTTP"
    assert gateway_address({**gateway, "status": {}}, None) == ""
    assert ingress_address({"status": {"loadBalancer": {"ingress": [{"ip": "fd00::1"}]}}}) == "[fd00::1]:80"
    assert ingress_address({"status": {"loadBalancer": {}}}) == ""
