import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import count
from types import SimpleNamespace

import anyio
import pytest

from finsight_serve.cli import migrate_watch
from finsight_serve.cli.migrate_scaling import Scaling, least_s
from finsight_serve.cli.migrate_view import describe_phase
from finsight_serve.controller.state import Durable
from finsight_serve.domain.breaker import Breaker
from finsight_serve.domain.migration import Migration, MigrationRules, ShiftRecord
from finsight_serve.plugin import Request
from finsight_serve.processes import SystemClock

from ...terminal import NO, answer
from .served import NOW_S, Controller, Served

RULES = MigrationRules(steps=(10, 100))


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
        ("acme", {"chat": 100}, "new", 1),
        ("beta", {"chat": 100}, "new", 2),
    ]
    (destination,) = plan["destinations"]
    assert (destination["replicas_now"], destination["replicas_then"]) == (1, 2)
    assert plan["rules"]["limits"] == ["error_rate<=0.1%", "ttft_p95<=1.5x"]
    assert (plan["rules"]["hold_s"], plan["rules"]["shadow_limits"]) == (60.0, [])
    assert (destination["min_replicas"], destination["max_replicas"], destination["cold_start_s"]) == (1, 3, None)
    assert [(row["steps_percent"], row["requests_per_minute"]) for row in plan["migrations"]] == [([100], 0.0)] * 2
    assert plan["duration"] == {"at_least_s": None, "starts_replicas": True}
    assert plan["fidelity"] and all(row["verdict"] != "exact" for row in plan["fidelity"])
    (silent,) = plan["warnings"]
    assert silent.startswith("tenants acme, beta: no request in the last hour; ") and "--min-requests 0" in silent


def test_a_plan_in_words(served: Served) -> None:
    shown = served.fs(
        "migrate", "start", "acme", "--to", "new", "--steps", "5,100", "--shadow", "5%", "--dry-run"
    ).stdout
    in_the_shadow = "error_rate<=0.1%, ttft_p95<=1.5x, other_finish<=50%, other_text<=50%"
    for words in (
        "5, 100",
        "asked for",
        "copies of 5 % of the requests",
        "holds 1 min",
        "not measured yet",
        in_the_shadow,
    ):
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
    assert result.exit_code == 2 and "`fs migrate acme --to new --yes` begins without a question" in result.stderr
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
        "M1  acme is at new; 3 requests in all, 2 of them at new: 0 failed, 0 truncated",
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
    assert (row["id"], row["from"], row["phase"], row["step"]) == ("M1", {"chat": 100}, "shifting", 2)
    assert (row["percent"], row["paused"], row["unknown"], row["ended_at"]) == (100, False, 0, None)
    assert datetime.fromisoformat(row["asked_at"]).timestamp() == pytest.approx(NOW_S, abs=1)
    text = served.fs("migrate", "status", "acme").stdout
    assert "shifting 100 % (step 2 of 2)" in text and "2 requests, 1 failed, 0 truncated there" in text
    assert [line.split()[:2] for line in text.splitlines() if line.startswith("  1")] == [
        ["10", "3"],
        ["10", "3"],
        ["100", "from"],
    ]


def test_status_shows_what_runs_and_list_all(served: Served) -> None:
    put(served, migration(phase="done"), migration("M2", "beta", phase="preparing"))
    assert [row["id"] for row in json.loads(served.fs("migrate", "status", "-o", "json").stdout)] == ["M2"]
    assert [row["id"] for row in json.loads(served.fs("migrate", "list", "-o", "json").stdout)] == ["M1", "M2"]
    assert "acme is at new" in served.fs("migrate", "status", "acme").stdout
    over = json.loads(served.fs("migrate", "status", "acme", "-o", "json").stdout)
    assert over["result"] == ["acme is at new", "nothing was moved"] and over["migration"]["ended_at"]


def test_explain_without_and_with_a_controller(
    served: Served, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(served, migration(phase="preparing", prescale_replicas=2))
    alone = served.fs("migrate", "explain", "acme").stdout
    assert "preparing: new grows to 2 ready replicas" in alone and "none runs" in alone
    request.getfixturevalue("controller")
    assert "waits: the stack is not up yet" in served.fs("migrate", "explain", "M1").stdout


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


def test_who_says_no_to_a_rollback_has_changed_nothing(served: Served) -> None:
    put(served, migration(phase="preparing"))
    before = served.state
    fs = (sys.executable, "-m", "finsight_serve", "migrate", "rollback", "M1", "--state", str(served.folder))
    asked = answer(NO, fs)
    assert (asked.returncode, asked.stdout) == (1, "")
    assert asked.stderr == "M1: acme from new back to chat 100 %\nRoll back? [y/N]: Nothing was changed.\n"
    assert served.state == before


@pytest.mark.parametrize("verb", ["pause", "resume", "rollback"])
def test_what_is_over_stays_so(served: Served, verb: str) -> None:
    put(served, migration(phase="done"), migration("M2", "beta", phase="preparing"))
    line = served.refused("migrate", verb, "beta", "M1")
    assert line == "fs: M1 is over: done; `fs migrate acme --to chat` moves it back"


def test_how_long_it_takes_at_least() -> None:
    rules = MigrationRules(steps=(10, 100), hold_s=60.0, min_requests=20)
    here = Scaling("new", "two", 1, 2, 1, 3, 2, 40.0)
    assert least_s(rules, 1.0, here) == 200 + 60 + 40
    assert least_s(rules, 1.0, replace(here, replicas_now=2)) == 260
    assert least_s(replace(rules, shadow_percent=5), 1.0, replace(here, replicas_now=2)) == 660
    assert least_s(rules, 0.0, here) is None
    assert least_s(replace(rules, min_requests=0), 0.0, here) == 60 + 60 + 40


def test_phases_in_words() -> None:
    assert describe_phase(migration(phase="rolling_back", paused=True)) == "rolling back, paused"


def test_a_tenant_that_began_to_ask_a_minute_ago_is_moved_in_steps(served: Served) -> None:
    async def note() -> None:
        now_s = SystemClock().now()
        await served.note(*(replace(request(f"{n}", "chat", 1), started_s=now_s - 30) for n in range(300)))

    anyio.run(note)
    plan = json.loads(served.fs("migrate", "acme", "--to", "new", "--dry-run", "-o", "json").stdout)
    (row,) = plan["migrations"]
    assert (row["steps_percent"], row["requests_per_minute"]) == ([1, 10, 50, 100], pytest.approx(300.0))
    assert plan["duration"]["at_least_s"] > 240


def test_a_plan_warns_of_a_breaker_that_is_not_closed(served: Served) -> None:
    breaker = Breaker("half_open", NOW_S, 1, "was open for 5 s")
    served.change(lambda durable: replace(durable, breakers={"new": breaker, "chat": breaker}))
    plan = json.loads(served.fs("migrate", "acme", "--to", "new", "--dry-run", "-o", "json").stdout)
    assert plan["warnings"][0] == "new: its breaker is half-open (was open for 5 s); it waits until that is closed"
    assert not any(line.startswith("chat") for line in plan["warnings"])


def test_who_asks_nothing_is_told_what_is_shown_without_requests(served: Served) -> None:
    shown = served.fs("migrate", "acme", "--to", "new", "--min-requests", "0", "--dry-run").stdout
    assert "what is shown is only that the destination answers its probes" in shown
    assert "holds 1 min\n" in shown and "unknown" not in shown


def test_a_tenant_that_is_named_and_at_the_deployment_too_is_moved_once(served: Served) -> None:
    result = served.fs("migrate", "beta", "--from", "chat", "--to", "new", "--dry-run", "-o", "json")
    assert [row["tenant"] for row in json.loads(result.stdout)["migrations"]] == ["beta", "acme"]


def test_deadlines_are_refused_by_their_options(served: Served) -> None:
    def line(*options: str) -> str:
        return served.refused("migrate", "acme", "--to", "new", "--yes", *options)

    assert line("--hold", "7h") == "fs: --hold: must be less than --step-deadline (6 h), found 7 h"
    assert line("--prepare-deadline", "0s") == "fs: --prepare-deadline: must be a time greater than 0, as 15m, found 0"
    assert line("--limit", "other_text<=0").startswith("fs: --limit: other_text is seen in the shadow alone")


def test_explain_gives_values_and_lines(served: Served) -> None:
    put(served, migration(phase="preparing", prescale_replicas=1))
    shown = json.loads(served.fs("migrate", "explain", "acme", "-o", "json").stdout)
    assert list(shown) == ["migration", "lines", "steps"]
    assert (shown["migration"]["id"], shown["migration"]["phase"], shown["steps"]) == ("M1", "preparing", [])
    assert shown["lines"][0] == "preparing: new grows to 1 ready replica; nothing is moved yet"


def test_what_was_said_is_not_said_again(served: Served) -> None:
    put(served, migration(phase="failed", reason="new is gone; nothing was moved"))
    shown = json.loads(served.fs("migrate", "status", "M1", "-o", "json").stdout)
    assert shown["result"] == ["acme was not moved to new", "new is gone; nothing was moved"]


def test_tables_fit_a_terminal(served: Served) -> None:
    put(served, migration(phase="shifting", paused=True, reason="a reason that is rather long" * 3))
    for argv in (("migrate", "list"), ("migrate", "status", "acme"), ("ledger", "M1"), ("ledger", "acme")):
        lines = [line for line in served.fs(*argv).stdout.splitlines() if "a reason" not in line]
        assert max(map(len, lines)) <= 120, argv
    plan = served.fs("migrate", "beta", "--to", "new", "--dry-run").stdout.partition("fidelity\n")[2]
    table = plan.partition("\n\n")[0].splitlines()
    assert table and max(map(len, table)) <= 120, table
