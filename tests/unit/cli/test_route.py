import json
from dataclasses import replace
from pathlib import Path

from finsight_serve.domain import Event
from finsight_serve.domain.breaker import Breaker
from finsight_serve.domain.migration import Migration, MigrationRules

from ..foreign import Foreign
from .ended import run
from .served import Served


def shown(served: Served) -> dict[str, dict[str, object]]:
    rows = json.loads(served.fs("route", "show", "-o", "json").stdout)["tenants"]
    return {row["tenant"]: row for row in rows}


def test_as_assigned_there_is_nothing_to_explain(served: Served) -> None:
    assert shown(served)["acme"] == {"tenant": "acme", "assigned": {"chat": 100}, "now": {"chat": 100}, "why": ""}
    served.change(lambda durable: replace(durable, assignments={"acme": {"new": 100}}))
    assert shown(served)["acme"]["why"] == "moved; its own deployment is chat"


def test_an_open_breaker_is_why(served: Served) -> None:
    breaker = Breaker("open", 0.0, 1, "12 of 20 failed")
    served.change(lambda durable: replace(durable, breakers={"chat": breaker}))
    row = shown(served)["acme"]
    assert (row["assigned"], row["now"]) == ({"chat": 100}, {"new": 100})
    assert row["why"] == "breaker of chat is open: 12 of 20 failed"


def test_nothing_ready_is_why(served: Served) -> None:
    served.change(lambda durable: replace(durable, routed={}))
    row = shown(served)["acme"]
    assert (row["now"], row["why"]) == ({}, "chat has no ready replica")
    assert "refused" in served.fs("route", "show", "acme").stdout


def test_a_migration_is_why(served: Served) -> None:
    rules = MigrationRules(steps=(10, 100))
    moving = Migration("M1", "acme", {"chat": 100}, "new", rules, phase="shifting")
    served.change(lambda durable: replace(durable, migrations={"M1": moving}))
    row = shown(served)["acme"]
    assert row["assigned"] == {"chat": 90, "new": 10}
    assert row["why"] == "M1 moves it to new: shifting 10 % (step 1 of 2)"


def test_one_tenant_in_words_with_the_versions(served: Served) -> None:
    text = served.fs("route", "show", "beta").stdout
    assert "chat 100 %" in text and "acme" not in text
    version = served.state.durable.route_version
    facts = json.loads(served.fs("route", "show", "-o", "json").stdout)["routes"]
    assert version > 0 and (facts["version"], facts["in_force"]) == (version, None)
    assert served.refused("route", "show", "bete") == (
        "fs: tenant bete: not in this stack; it has acme, beta; did you mean beta?"
    )


def test_history_is_the_newest_versions_oldest_first(served: Served) -> None:
    served.write(served.state, *(Event(float(n), "routes_changed", f"{n}", f"reason {n}") for n in range(100, 105)))
    rows = json.loads(served.fs("route", "history", "--last", "2", "-o", "json").stdout)
    assert [(row["version"], row["reason"]) for row in rows] == [(103, "reason 103"), (104, "reason 104")]
    assert len(json.loads(served.fs("route", "history", "-o", "json").stdout)) > 5


def test_nothing_was_served(tmp_path: Path, one_of_each: Foreign) -> None:
    for command in ("show", "history"):
        assert "nothing was served" in _refused(tmp_path / "none", command)


def _refused(folder: Path, command: str) -> str:
    result = run("route", command, "--state", str(folder))
    assert result.exit_code == 2 and not folder.exists()
    return result.stderr
