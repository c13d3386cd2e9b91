import json

from finsight_serve.cli.fidelity_view import shown_fidelity
from finsight_serve.cli.output import render
from finsight_serve.controller.planning import Fidelity

GRADES = [
    Fidelity("ray", "chat", "min_replicas", "exact", "told"),
    Fidelity("ray", "chat", "slo", "impossible", "no word for it"),
    Fidelity("ray", "chat", "max_replicas", "exact", "told"),
    Fidelity("ray", "code", "max_replicas", "exact", "told"),
]


def test_in_a_table_fields_that_are_graded_alike_stand_together() -> None:
    rows = [line.split() for line in render(shown_fidelity(GRADES), "table").splitlines()[2:]]
    assert rows == [
        ["ray", "chat", "exact", "min_replicas,", "max_replicas", "told"],
        ["ray", "chat", "impossible", "slo", "no", "word", "for", "it"],
        ["ray", "code", "exact", "max_replicas", "told"],
    ]


def test_in_json_each_field_has_its_row() -> None:
    rows = json.loads(render(shown_fidelity(GRADES), "json"))
    assert [(row["deployment"], row["field"]) for row in rows] == [(one.deployment, one.field) for one in GRADES]
    assert render(shown_fidelity([]), "table") == "none"
