import json
from dataclasses import replace
from datetime import datetime

from finsight_serve.cli.status import chosen_events
from finsight_serve.domain import Event
from finsight_serve.domain.breaker import Breaker
from finsight_serve.domain.migration import Migration, MigrationRules

from .served import NOW_S, Served

MOVING = Migration("M1", "acme", {"chat": 100}, "new", MigrationRules(steps=(10, 100)), phase="shifting", paused=True)


def test_values_in_json_and_words_in_the_table(served: Served) -> None:
    breaker = Breaker("half_open", NOW_S, 1, "was open for 5 s")
    served.change(lambda durable: replace(durable, migrations={"M1": MOVING}, breakers={"chat": breaker}))
    served.write(served.state, Event(NOW_S, "routes_changed", "9", "told"))
    shown = json.loads(served.fs("status", "-o", "json").stdout)
    assert shown["deployments"][0]["breaker"] == {"state": "half_open", "reason": "was open for 5 s"}
    assert [(row["name"], sum(row["routed_to"].values())) for row in shown["tenants"]] == [("acme", 100), ("beta", 100)]
    (moving,) = shown["migrations"]
    assert (moving["to"], moving["phase"], moving["percent"], moving["paused"]) == ("new", "shifting", 10, True)
    assert datetime.fromisoformat(shown["events"][-1]["at"]).utcoffset() is not None
    text = served.fs("status").stdout
    assert "half-open: was open for 5 s" in text and "weights" not in text and "breaker_state" not in text


def test_what_happens_all_the_time_leaves_room_for_the_rest() -> None:
    rare = [Event(float(n), f"kind {n}", "", "") for n in range(5)]
    often = [Event(float(n), "often", "", "") for n in range(10, 60)]
    assert chosen_events([*rare, *often]) == [*rare, *often[-5:]]
    assert chosen_events([*often, *rare]) == [*often[-5:], *rare]
    assert chosen_events(rare) == rare
    assert len(chosen_events(often)) == 10
