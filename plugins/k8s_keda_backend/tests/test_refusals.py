"""The API server's own answers, as Kubernetes 1.36 and KEDA 2.21 gave them, and what people are told."""

import json
from typing import Any

import pytest

from finsight_serve_k8s_keda.access import Identity
from finsight_serve_k8s_keda.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    HTTP_ROUTE,
    NAMESPACE,
    POD,
    SCALED_OBJECT,
    SERVICE,
    Kind,
)
from finsight_serve_k8s_keda.refusals import (
    ApiRefusal,
    Asked,
    is_name_missing,
    refusal,
    slow,
    unreachable,
    untrusted,
)

IDENTITY = Identity("https://east:6443", "/home/me/.kube/config", "east", "me")


def asked(verb: str, kind: Kind, name: str = "", subresource: str = "") -> Asked:
    return Asked(verb, kind.path("models", name), kind, "models", name, subresource)


def status(code: int, reason: str, message: str, **details: Any) -> str:
    return json.dumps(
        {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message, "details": details}
    )


def told(code: int, answer: str, asked: Asked) -> ApiRefusal:
    found = refusal(code, answer, asked, IDENTITY)
    assert found.code == code
    assert len(str(found).splitlines()) == 1
    return found


def test_expired_credentials_say_whose_and_where():
    found = told(401, status(401, "Unauthorized", "Unauthorized"), asked("list", POD))
    assert str(found) == (
        "the Kubernetes API server https://east:6443 does not accept the credentials of user 'me' of "
        "/home/me/.kube/config: they are wrong, expired or none; log in to the cluster again, until "
        "`kubectl auth whoami` answers"
    )
    assert found.field == "kubeconfig"


def test_a_kubeconfig_without_credentials_counts_as_expired_ones():
    message = 'configmaps is forbidden: User "system:anonymous" cannot list resource "configmaps" in API group ""'
    found = told(403, status(403, "Forbidden", message), asked("list", CONFIG_MAP))
    assert "does not accept the credentials" in str(found)


def test_a_missing_right_names_verb_resource_and_rule():
    message = (
        'scaledobjects.keda.sh "chat" is forbidden: User "u" cannot create resource "scaledobjects" in API group '
        '"keda.sh" in the namespace "models"'
    )
    found = told(403, status(403, "Forbidden", message), asked("patch", SCALED_OBJECT, "chat"))
    assert str(found) == (
        "user 'me' of /home/me/.kube/config may not create scaledobjects.keda.sh in namespace models; add the rule "
        '{apiGroups: ["keda.sh"], resources: ["scaledobjects"], verbs: ["create"]} to its Role, until '
        "`kubectl auth can-i create scaledobjects.keda.sh -n models` says yes"
    )


def test_a_right_on_a_subresource_and_one_on_no_namespace():
    message = 'User "u" cannot get resource "pods/log" in API group ""'
    assert "may not get pods/log in namespace models" in str(
        told(403, status(403, "Forbidden", message), asked("get", POD, "p", "log"))
    )
    message = 'User "u" cannot get resource "namespaces" in API group ""'
    assert "to its ClusterRole" in str(told(403, status(403, "Forbidden", message), asked("get", NAMESPACE, "models")))


def test_a_quota_says_what_it_allows():
    message = (
        'services "chat" is forbidden: exceeded quota: few, requested: services=1, used: services=2, '
        "limited: services=2"
    )
    found = told(403, status(403, "Forbidden", message), asked("patch", SERVICE, "chat"))
    assert "the quota 'few' of namespace models leaves no room: it asks for services=1, and services=2" in str(found)


def test_pod_security_keeps_its_own_words():
    message = 'pods "p" is forbidden: violates PodSecurity "restricted:latest": privileged'
    assert 'violates PodSecurity "restricted:latest"' in str(
        told(403, status(403, "Forbidden", message), asked("create", POD))
    )


def test_a_missing_namespace_is_told_by_the_option():
    found = told(
        404,
        status(404, "NotFound", 'namespaces "models" not found', kind="namespaces", name="models"),
        asked("patch", SERVICE, "c"),
    )
    assert found.field == "namespace"
    assert "`kubectl create namespace models`" in str(found)


@pytest.mark.parametrize("answer", ["404 page not found\n", status(404, "NotFound", "the server could not find it")])
def test_an_api_that_is_not_installed_says_what_to_install(answer):
    found = told(404, answer, asked("patch", HTTP_ROUTE, "acme"))
    assert str(found).startswith(
        "the cluster does not know HTTPRoute (gateway.networking.k8s.io/v1); install the Gateway API"
    )
    assert not is_name_missing(answer)


def test_a_missing_object_is_told_from_a_missing_kind():
    assert is_name_missing(status(404, "NotFound", 'pods "p" not found', kind="pods", name="p"))


def test_a_webhook_is_quoted():
    message = (
        "admission webhook \"vscaledobject.kb.io\" denied the request: the workload 'chat' of type "
        "'apps/v1.Deployment' is already managed by the ScaledObject 'rival'"
    )
    found = told(403, status(403, "Forbidden", message), asked("patch", SCALED_OBJECT, "chat"))
    assert "is already managed by the ScaledObject 'rival' (says the admission webhook vscaledobject.kb.io)" in str(
        found
    )


def test_a_webhook_that_does_not_answer_is_named():
    message = (
        'Internal error occurred: failed calling webhook "vscaledobject.kb.io": failed to call webhook: Post '
        '"https://keda-admission-webhooks.keda.svc:443/x": dial tcp 10.0.0.3:443: connect: connection refused'
    )
    found = told(500, status(500, "InternalError", message), asked("patch", SCALED_OBJECT, "chat"))
    assert "the admission webhook vscaledobject.kb.io can't be asked" in str(found) and not found.lasting
    assert "see that the pods behind it run" in str(found)


def test_a_conflict_names_the_other_manager_and_the_fields():
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl-edit" using v1',
            "field": ".spec.maxReplicaCount",
        },
        {"reason": "FieldManagerConflict", "message": 'conflict with "argocd" using v1', "field": ".spec.triggers"},
    ]
    found = told(
        409,
        status(409, "Conflict", "Apply failed with 2 conflicts", causes=causes),
        asked("patch", SCALED_OBJECT, "chat"),
    )
    assert "spec.maxReplicaCount, spec.triggers are also set by argocd and kubectl-edit" in str(found)


def test_another_conflict_keeps_its_own_words():
    assert "the object has been modified" in str(
        told(409, status(409, "Conflict", "the object has been modified"), asked("patch", SERVICE, "chat"))
    )


def test_an_invalid_field_is_named_once():
    causes = [
        {"reason": "FieldValueInvalid", "message": 'Invalid value: "A": must be lower case', "field": "metadata.name"}
    ] * 2
    found = told(422, status(422, "Invalid", "Deployment is invalid", causes=causes), asked("patch", DEPLOYMENT, "A"))
    assert (
        str(found) == 'Kubernetes refuses to patch Deployment A: metadata.name: Invalid value: "A": must be lower case'
    )


@pytest.mark.parametrize(("code", "part"), [(410, "forgotten"), (429, "try again"), (500, "boom")])
def test_the_rest_is_told_in_a_line(code, part):
    assert part in str(told(code, status(code, "", "boom\nover two lines"), asked("watch", POD)))


DENIED = 'admission webhook "v.kb.io" denied the request: no'
FIELD_CONFLICT = {"causes": [{"reason": "FieldManagerConflict", "message": 'conflict with "k"', "field": ".spec.x"}]}


@pytest.mark.parametrize(
    ("code", "message", "details", "lasting"),
    [
        (400, "unknown field", {}, True),
        (400, DENIED, {}, True),
        (403, DENIED, {}, True),
        (403, 'services "c" is forbidden: exceeded quota: few, requested: a=1, used: a=2, limited: a=2', {}, False),
        (403, 'services "c" is forbidden: namespace models is being terminated', {}, False),
        (409, "Apply failed with 1 conflict", FIELD_CONFLICT, True),
        (409, "the object has been modified", {}, False),
        (422, "Service is invalid", {}, True),
        (429, "too many requests", {}, False),
        (500, 'failed calling webhook "v.kb.io": connection refused', {}, False),
    ],
)
def test_what_is_refused_for_what_it_is_lasts(code, message, details, lasting):
    found = told(code, status(code, "", message, **details), asked("patch", SERVICE, "c"))
    assert found.lasting == lasting


def test_a_proxy_that_is_no_api_server_is_quoted_briefly():
    found = told(502, "<html>" + "x" * 5000, asked("list", POD))
    assert len(str(found)) < 400


def test_transport_errors_say_where_they_come_from():
    assert str(unreachable("refused", IDENTITY)) == (
        "the Kubernetes API server https://east:6443 can't be reached: refused; check the network, and the cluster "
        "that context 'east' of /home/me/.kube/config names"
    )
    assert "has not answered in 10 s (list pods)" in str(slow(10, asked("list", POD), IDENTITY))
    assert "isn't trusted" in str(untrusted("self-signed", Identity("https://10.0.0.1", "")))
    assert unreachable("x", IDENTITY).code == 0
