"""KEDA's own schema of a ScaledObject, in which a field that it does not know is an error."""

from pathlib import Path
from typing import Any

import jsonschema
from ruamel.yaml import YAML

CRD = Path(__file__).parent / "crds" / "keda-2.20.2-scaledobjects.yaml"


def check_scaled_object(body: Any) -> None:
    """Raises `jsonschema.ValidationError`. An API server would drop unknown fields without a word."""
    jsonschema.validate(body, SCHEMA)
    spec = body["spec"]
    assert spec["minReplicaCount"] <= spec["maxReplicaCount"]  # the schema says it in CEL


def _strict(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict_below(key, value) for key, value in schema.items()}
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    return found if open_ended or "properties" not in schema else {**found, "additionalProperties": False}


def _strict_below(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: _strict(schema) for name, schema in value.items()}
    if isinstance(value, list):
        return [_strict(item) for item in value]
    return _strict(value)


def _load() -> Any:
    document = YAML(typ="safe").load(CRD.read_text())
    (version,) = [one for one in document["spec"]["versions"] if one["name"] == "v1alpha1"]
    schema = _strict(version["schema"]["openAPIV3Schema"])
    labels = {"type": "object", "additionalProperties": {"type": "string"}}
    metadata = {"name": {"type": "string"}, "namespace": {"type": "string"}, "labels": labels}
    schema["properties"]["metadata"] = {"type": "object", "additionalProperties": False, "properties": metadata}
    return schema


SCHEMA = _load()
