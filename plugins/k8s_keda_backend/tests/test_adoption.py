"""Whose fields are whose after an adoption."""

from finsight_serve_k8s_keda.adoption import managed_fields

OURS = {"f:spec": {"f:a": {}, "f:b": {}}}


def test_what_the_plan_sets_is_ours_alone_and_the_rest_stays_where_it_was():
    live = {
        "apiVersion": "v1",
        "metadata": {
            "managedFields": [
                {"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {"f:a": {}, "f:c": {}}}},
                {"manager": "helm", "operation": "Update", "fieldsV1": {"f:spec": {"f:b": {}}}},
                {"manager": "kubelet", "operation": "Update", "subresource": "status", "fieldsV1": OURS},
                {"manager": "finsight-serve", "operation": "Apply", "fieldsV1": {"f:spec": {"f:gone": {}}}},
            ]
        },
    }
    assert [(entry["manager"], entry["fieldsV1"]) for entry in managed_fields(live, OURS)] == [
        ("kubectl", {"f:spec": {"f:c": {}}}),
        ("kubelet", OURS),
        ("finsight-serve", OURS),
    ]
