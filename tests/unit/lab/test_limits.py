import pytest

from finsight_serve.errors import UserError
from finsight_serve.lab.limits import Limit, Objective, parse_limit, parse_objective

METRICS = ("replica_hours", "p99_wait_s", "shed")


def test_an_objective_with_limits() -> None:
    objective = parse_objective("min replica_hours s.t. p99_wait_s<=1 and shed < 0.5", METRICS)
    assert objective == Objective("replica_hours", (Limit("p99_wait_s", "<=", 1.0), Limit("shed", "<", 0.5)))
    assert str(objective) == "min replica_hours s.t. p99_wait_s<=1 and shed<0.5"
    assert parse_objective("minimise p99_wait_s", METRICS) == Objective("p99_wait_s")


def test_what_holds_comes_before_what_is_cheap() -> None:
    objective = parse_objective("min replica_hours s.t. p99_wait_s<=1", METRICS)
    found = [{"replica_hours": hours, "p99_wait_s": wait} for hours, wait in ((30, 0.9), (24, 5), (31, 0.1), (25, 2))]
    ordered = sorted(found, key=objective.order)
    assert [score["replica_hours"] for score in ordered] == [30, 31, 25, 24]


@pytest.mark.parametrize(("relation", "held"), [("<=", [0.5, 1.0]), ("<", [0.5]), (">=", [1.0, 1.5]), (">", [1.5])])
def test_relations(relation: str, held: list[float]) -> None:
    limit = parse_limit(f"shed{relation}1", METRICS)
    assert [value for value in (0.5, 1.0, 1.5) if limit.holds(value)] == held


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cheap please", "'cheap please' is no objective"),
        ("min replica_hour", "no metric named replica_hour; .* did you mean replica_hours?"),
        ("min replica_hours s.t. p99_wait_s", "'p99_wait_s' is no limit: write METRIC<=NUMBER"),
        ("min replica_hours s.t. p99_wait_s<=.", "is no limit"),
        ("min replica_hours s.t. cost<=1", "no metric named cost"),
    ],
)
def test_what_it_can_not_read_it_says(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_objective(text, METRICS)
