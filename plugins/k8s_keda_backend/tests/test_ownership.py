"""`managedFields` as a Kubernetes 1.36 API server writes them."""

import copy

from finsight_serve_k8s_keda.ownership import applied_fields, owned, united, without

LIVE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {
        "name": "chat",
        "namespace": "models",
        "uid": "1",
        "resourceVersion": "7",
        "labels": {"ours": "yes", "theirs": "yes"},
        "finalizers": ["a/one", "b/two"],
        "managedFields": [
            {
                "manager": "finsight-serve",
                "operation": "Apply",
                "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:ours": {}}, "f:finalizers": {'v:"b/two"': {}}},
                    "f:spec": {
                        "f:selector": {},
                        "f:emptied": {".": {}},
                        "f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}}},
                        "f:gone": {},
                    },
                },
            },
            {
                "manager": "finsight-serve",
                "operation": "Apply",
                "subresource": "status",
                "fieldsV1": {"f:status": {"f:phase": {}}},
            },
            {
                "manager": "kubectl-edit",
                "operation": "Update",
                "fieldsV1": {"f:metadata": {"f:labels": {"f:theirs": {}}}, "f:spec": {"f:clusterIP": {}}},
            },
        ],
    },
    "spec": {
        "clusterIP": "10.0.0.1",
        "selector": {"app": "chat"},
        "emptied": {"set": "elsewhere"},
        "ports": [
            {"name": "other", "port": 81, "protocol": "TCP"},
            {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80},
        ],
    },
    "status": {"phase": "Ready"},
}


def test_what_is_ours_is_what_we_applied_as_it_is_now():
    assert owned(LIVE) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "chat",
            "namespace": "models",
            "labels": {"ours": "yes"},
            "finalizers": ["b/two"],
        },
        "spec": {"selector": {"app": "chat"}, "emptied": {}, "ports": [{"name": "http", "port": 80}]},
    }


def test_a_value_that_someone_changed_is_shown_changed():
    live = copy.deepcopy(LIVE)
    live["spec"]["selector"] = {"app": "other"}
    assert owned(live)["spec"]["selector"] == {"app": "other"}


def test_of_an_object_that_we_never_applied_only_the_name_is_left():
    live = copy.deepcopy(LIVE)
    del live["metadata"]["managedFields"]
    assert owned(live) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "chat", "namespace": "models"},
    }


def test_several_versions_of_the_api_count_together():
    live = copy.deepcopy(LIVE)
    live["metadata"]["managedFields"].append(
        {"manager": "finsight-serve", "operation": "Apply", "fieldsV1": {"f:spec": {"f:clusterIP": {}}}}
    )
    assert owned(live)["spec"]["clusterIP"] == "10.0.0.1"
    assert applied_fields(live)["f:spec"].keys() >= {"f:clusterIP", "f:selector"}


def test_fields_are_united_and_taken_away():
    one = {"f:spec": {"f:a": {}, "f:b": {".": {}, "f:c": {}}}}
    other = {"f:spec": {"f:b": {"f:c": {}}, "f:d": {}}}
    assert united(one, other) == {"f:spec": {"f:a": {}, "f:b": {".": {}, "f:c": {}}, "f:d": {}}}
    assert without(one, other) == {"f:spec": {"f:a": {}}}
    assert without(other, one) == {"f:spec": {"f:d": {}}}
    assert without(one, one) == {}
    assert without(one, {}) == one
