import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from finsight_serve.cli import migrate_watch
from finsight_serve.cli.migrate_scaling import Scaling, least_s
from finsight_serve.cli.migrate_view import describe_phase, span
from finsight_serve.controller.state import Durable
from finsight_serve.domain.migration import Migration, MigrationRules, ShiftRecord
from finsight_serve.plugin import Request

from ..foreign import Foreign
from .served import NOW_S, Controller, Served

RULES = MigrationRules(steps=(10, 100))


@pytest.fixture
def served(tmp_path: Path, one_of_each: Foreign) -> Served:
    return Served(tmp_path / "s")


@pytest.fixture
def controller(served: Served, monkeypatch: pytest.MonkeyPatch) -> type[Controller]:
    monkeypatch.setattr(Controller, "served", served, raising=False)
    monkeypatch.setattr("finsight_serve.controller.client.Client", Controller)
    return Controller


def migration(id: str = "M1", tenant: str = "acme", **changes: object) -> Migration:
    made = Migration(id, tenant, {"chat": 100}, "new", RULES, asked_s=NOW_S, since_s=NOW_S)
    return replace(made, **changes)  # type: ignore[arg-type]


def put(served: Served, *migrations: Migration) -> None:
    def change(durable: Durable) -> Durable:
        return replace(durable, migrations={**durable.migrations, **{one.id: one for one in migrations}})

    served.change(change)


def script(monkeypatch: pytest.MonkeyPatch, served: Served, *states: Migration) -> None:
    """Each time that the watcher sleeps, the next one has come about; then somebody presses Ctrl-C."""
    rest: Iterator[Migration] = iter(states)
    seconds = count(NOW_S + 10)

    def sleep(_: float) -> None:
        following = next(rest, None)
        if following is None:
            raise KeyboardInterrupt
        put(served, following)

    monkeypatch.setattr(
        migrate_watch, "time", SimpleNamespace(sleep=sleep, time=lambda: next(seconds), monotonic=lambda: 0.0)
    )


def request(id: str, deployment: str, version: int, outcome: str = "complete") -> Request:
    status = 502 if outcome == "failed" else 200
    return Request(id, id, "acme", deployment, "r", status, outcome, NOW_S, 0.1, 0.1, version)  # type: ignore[arg-type]


def test_a_plan_shows_what_will_be_done(served: Served) -> None:
    result = served.fs("migrate", "acme", "beta", "--to", "two", "--wave", "1", "--dry-run", "-o", "json")
    assert result.exit_code == 0, result.output
    plan = json.loads(result.stdout)
    assert [(row["tenant"], row["from"], row["to"], row["wave"]) for row in plan["migrations"]] == [
        ("acme", "chat 100 %", "new", 1),
        ("beta", "chat 100 %", "new", 2),
    ]
    (destination,) = plan["destinations"]
    assert (destination["replicas_now"], destination["replicas_then"]) == (1, 2)
    assert plan["rules"]["limits"] == "error_rate<=0.1%, ttft_p95<=1.5x"
    assert plan["fidelity"] and all(row["verdict"] != "exact" for row in plan["fidelity"])
    assert "no request in the last hour" in plan["warnings"]


def test_a_plan_in_words(served: Served) -> None:
    shown = served.fs(
        "migrate", "start", "acme", "--to", "new", "--steps", "5,100", "--shadow", "5%", "--dry-run"
    ).stdout
    for words in ("5, 100", "asked for", "copies of 5 % of the requests", "holds 1 min", "not measured yet"):
        assert words in shown, shown


def test_every_tenant_of_a_deployment(served: Served) -> None:
    result = served.fs("migrate", "--from", "chat", "--to", "new", "--dry-run", "-o", "json")
    assert [row["tenant"] for row in json.loads(result.stdout)["migrations"]] == ["acme", "beta"]


def test_a_first_word_that_is_no_command_is_a_tenant(served: Served) -> None:
    assert "tenant statu: not in this stack" in served.refused("migrate", "statu", "--to", "new", "--yes")
    result = served.fs("migrate", "statu")
    assert result.exit_code == 2 and "did you mean `fs migrate status`?" in result.stderr
    assert "tenant list: not in this stack" in served.refused("migrate", "start", "list", "--to", "new", "--yes")


def test_without_a_controller_nothing_begins(served: Served) -> None:
    line = served.refused("migrate", "acme", "--to", "new", "--yes")
    assert line == f"fs: {served.folder}: no controller runs here; `fs serve` starts one"


def test_nobody_to_ask(served: Served, controller: type[Controller]) -> None:
    result = served.fs("migrate", "acme", "--to", "new")
    assert result.exit_code == 2 and "`fs migrate … --yes` begins without a question" in result.stderr
    assert served.state.durable.migrations == {}


def test_it_is_taken_and_named(served: Served, controller: type[Controller]) -> None:
    result = served.fs("migrate", "acme", "beta", "--to", "new", "--yes", "--detach", "-o", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == [{"id": "M1"}, {"id": "M2"}]
    taken = served.state.durable.migrations
    assert [(one.tenant, one.batch) for one in taken.values()] == [("acme", "M1"), ("beta", "M1")]


def test_two_at_the_same_instant_both_get_a_number(
    served: Served, controller: type[Controller], monkeypatch: pytest.MonkeyPatch
) -> None:
    take = controller.intend

    def after_another(self: Controller, fact: object) -> bool:
        if not served.state.durable.migrations:
            put(served, migration("M1", "beta", phase="preparing"))
        return take(self, fact)  # type: ignore[arg-type]

    monkeypatch.setattr(controller, "intend", after_another)
    result = served.fs("migrate", "acme", "--to", "new", "--yes", "--detach")
    assert result.exit_code == 0 and "Begun: M2" in result.stdout, result.output
    assert {one.id: one.tenant for one in served.state.durable.migrations.values()} == {"M1": "beta", "M2": "acme"}


def test_the_same_tenant_at_the_same_instant_is_moved_once(
    served: Served, controller: type[Controller], monkeypatch: pytest.MonkeyPatch
) -> None:
    take = controller.intend

    def after_another(self: Controller, fact: object) -> bool:
        put(served, migration("M1", "acme", phase="preparing"))
        return take(self, fact)  # type: ignore[arg-type]

    monkeypatch.setattr(controller, "intend", after_another)
    result = served.fs("migrate", "acme", "--to", "new", "--yes", "--detach")
    assert result.exit_code == 2
    assert result.stderr == "fs: tenant acme: is being migrated already, by M1; see `fs migrate status M1`\n"


@pytest.mark.anyio
async def test_it_is_watched_to_its_end(
    served: Served, controller: type[Controller], monkeypatch: pytest.MonkeyPatch
) -> None:
    records = (ShiftRecord(10, NOW_S, 3), ShiftRecord(100, NOW_S, 4))
    await served.note(request("a", "new", 3), request("b", "chat", 3), request("c", "new", 4))
    put(served, migration(phase="preparing"))
    shifting = migration(phase="shifting", records=records[:1], reason="all replicas answer")
    over = migration(phase="done", records=records, since_s=NOW_S + 9)
    script(monkeypatch, served, shifting, shifting, over, over, over)
    result = served.fs("migrate", "status", "acme", "--watch")
    assert result.exit_code == 0, result.output
    lines = [line.split("  ", 1)[1] for line in result.stdout.splitlines()]
    assert lines == [
        "M1  acme to new; preparing",
        "the controller is at work",
        "M1  acme to new; shifting 10 % (step 1 of 2); 2 requests, 0 failed, 0 truncated there; all replicas answer",
        "M1  acme is at new; 3 requests, 0 failed, 0 truncated",
    ]


@pytest.mark.parametrize("phase", ["rolled_back", "failed"])
def test_one_that_came_to_nothing_ends_with_1_and_says_why(served: Served, phase: str) -> None:
    put(served, migration(phase=phase, reason="the breaker of new is open"))
    result = served.fs("migrate", "status", "M1", "--watch", "-o", "json")
    assert result.exit_code == 1
    (row,) = json.loads(result.stdout)
    assert row["result"][1:] == ["the breaker of new is open", "nothing was moved"]
    assert "the breaker of new is open" in result.stderr


def test_ctrl_c_ends_the_watching_alone(
    served: Served, controller: type[Controller], monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, served)
    result = served.fs("migrate", "acme", "--to", "new", "--yes")
    assert result.exit_code == 130
    assert "`fs migrate status M1 --watch` watches it, `fs migrate rollback M1` takes it back" in result.stderr
    assert served.state.durable.migrations["M1"].phase not in ("rolling_back", "rolled_back")


@pytest.mark.anyio
async def test_status_counts_each_step(served: Served) -> None:
    records = (ShiftRecord(10, NOW_S, 3), ShiftRecord(100, NOW_S, 4))
    await served.note(
        request("a", "new", 3), request("b", "chat", 3), request("c", "new", 4, "failed"), request("d", "new", 2)
    )
    put(served, migration(phase="shifting", step=1, records=records))
    shown = json.loads(served.fs("migrate", "status", "acme", "-o", "json").stdout)
    assert [(s["percent"], s["deployment"], s["requests"], s["failed"]) for s in shown["steps"]] == [
        (10, "new", 1, 0),
        (10, "chat", 1, 0),
        (100, "new", 1, 1),
    ]
    assert (shown["migration"]["requests"], shown["migration"]["failed"]) == (2, 1)
    (row,) = json.loads(served.fs("migrate", "status", "-o", "json").stdout)
    assert (row["id"], row["phase"]) == ("M1", "shifting 100 % (step 2 of 2)")


def test_status_shows_what_runs_and_list_all(served: Served) -> None:
    put(served, migration(phase="done"), migration("M2", "beta", phase="preparing"))
    assert [row["id"] for row in json.loads(served.fs("migrate", "status", "-o", "json").stdout)] == ["M2"]
    assert [row["id"] for row in json.loads(served.fs("migrate", "list", "-o", "json").stdout)] == ["M1", "M2"]
    assert "acme is at new" in served.fs("migrate", "status", "acme").stdout


def test_explain_without_and_with_a_controller(
    served: Served, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(served, migration(phase="preparing", prescale_replicas=2))
    alone = served.fs("migrate", "explain", "acme").stdout
    assert "preparing: new grows to 2 ready replicas" in alone and "none runs" in alone
    request.getfixturevalue("controller")
    assert "waits: new can't be observed" in served.fs("migrate", "explain", "M1").stdout


def test_what_is_asked_of_a_running_one_is_recorded_where_no_controller_runs(served: Served) -> None:
    put(served, migration(phase="shifting", records=(ShiftRecord(10, NOW_S, 3),), paused=False))
    paused = served.fs("migrate", "pause", "acme")
    assert paused.stdout == "M1: acme to new is paused; recorded: the next `fs serve` acts on it.\n", paused.output
    assert served.state.durable.migrations["M1"].paused
    assert served.fs("migrate", "resume", "M1").exit_code == 0
    assert not served.state.durable.migrations["M1"].paused
    assert "nobody can be asked here" in served.refused("migrate", "rollback", "M1")
    assert served.fs("migrate", "rollback", "M1", "acme", "--yes").exit_code == 0
    assert served.state.durable.migrations["M1"].phase in ("rolling_back", "rolled_back")


@pytest.mark.parametrize("verb", ["pause", "resume", "rollback"])
def test_what_is_over_stays_so(served: Served, verb: str) -> None:
    put(served, migration(phase="done"), migration("M2", "beta", phase="preparing"))
    line = served.refused("migrate", verb, "beta", "M1")
    assert line == "fs: M1 is over: done; `fs migrate acme --to DEPLOYMENT` moves it again"


def test_how_long_it_takes_at_least() -> None:
    rules = MigrationRules(steps=(10, 100), hold_s=60.0, min_requests=20)
    here = Scaling("new", "two", 1, 2, 1, 3, 2, 40.0)
    assert least_s(rules, 1.0, here) == 200 + 60 + 40
    assert least_s(rules, 1.0, replace(here, replicas_now=2)) == 260
    assert least_s(replace(rules, shadow_percent=5), 1.0, replace(here, replicas_now=2)) == 660
    assert least_s(rules, 0.0, here) is None


@pytest.mark.parametrize(
    ("span_s", "text"),
    [(0.25, "0.25 s"), (45, "45 s"), (60, "1 min"), (150, "2 min 30 s"), (3600, "1 h"), (90000, "1 d 1 h")],
)
def test_spans_of_time(span_s: float, text: str) -> None:
    assert span(span_s) == text


def test_phases_in_words() -> None:
    assert describe_phase(migration(phase="rolling_back", paused=True)) == "rolling back, paused"
