"""The line at the top: well, to be watched, or in need of a person."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from finsight_serve.controller.client import Unanswered
from finsight_serve.controller.status import Status
from finsight_serve.domain.breaker import Breaker
from finsight_serve.plugin import Observed, Request
from finsight_serve.ui.reading import ANOTHER_VERSION
from finsight_serve.ui.standing import MOST_FINDINGS, judge

from ..cli.served import NOW_S, Served
from ..controller.worlds import replica
from .readings import MOVING, Absent, Running, look, move, open_breaker


def told(served: Served, controller: Any = None) -> tuple[str, str, list[str]]:
    standing = judge(look(served.folder, controller or Running(served)))
    return standing.level, standing.headline, [one.text for one in standing.findings]


def test_all_is_well(served: Served) -> None:
    assert told(served) == ("well", "All is well", [])
    assert judge(look(served.folder, Running(served))).figures == "3 ready replicas of 2 deployments"


@pytest.mark.anyio
async def test_its_figures_are_of_this_hour_and_the_last(served: Served) -> None:
    await served.note(
        Request("1", "1", "acme", "chat", "a", 200, "complete", NOW_S, 1.0, 0.1),
        Request("2", "2", "acme", "chat", "a", 502, "failed", NOW_S - 3600, 1.0, 0.1),
        Request("3", "3", "acme", "chat", "a", 502, "failed", NOW_S - 3 * 3600, 1.0, 0.1),
    )
    move(served)
    assert judge(look(served.folder, Running(served))).figures == (
        "3 ready replicas of 2 deployments. 2 requests in this hour and the last, 1 failed, 0 truncated. "
        "acme is being moved to new"
    )


def test_a_replica_short_is_to_be_watched_and_none_needs_a_person(served: Served) -> None:
    running = Running(served)
    running.observed["two"] = Observed((replica("9", "new", "starting"),))
    assert told(served, running) == (
        "trouble",
        "Something needs a person",
        ["new has no ready replica, 1 starting"],
    )
    held = replace(served.state.durable.policies_in_force["chat"], min_replicas=3)
    served.change(lambda durable: replace(durable, policies_in_force={**durable.policies_in_force, "chat": held}))
    level, _, found = told(served, Running(served))
    assert (level, found) == ("notice", ["chat has 2 of 3 replicas ready"])


def test_breakers_refusals_and_a_backend_out_of_reach(served: Served) -> None:
    open_breaker(served)
    served.change(lambda durable: replace(durable, breakers={**durable.breakers, "new": Breaker("half_open", NOW_S)}))
    running = Running(served)
    del running.observed["two"]
    level, headline, found = told(served, running)
    assert (level, headline) == ("trouble", "4 things need a person")
    assert found[:2] == [
        "new has no ready replica",
        "the breaker of chat is open, so it gets no requests: 9 of 10 failed",
    ]
    assert "two: not seen yet" in found and found[-1].startswith("the breaker of new is half-open")


def test_requests_that_nobody_can_answer(served: Served) -> None:
    both = {name: Breaker("open", NOW_S, 1, "all failed") for name in ("chat", "new")}
    served.change(lambda durable: replace(durable, breakers=both))
    assert "100 % of acme's requests are refused: nobody can answer them" in told(served)[2]


def test_a_rollback_is_to_be_watched(served: Served) -> None:
    move(served, replace(MOVING, phase="rolling_back", reason="error_rate is 12 %"))
    assert told(served)[2] == ["acme is being rolled back from new: error_rate is 12 %"]


def test_without_a_controller(served: Served) -> None:
    level, _, (line,) = told(served, Absent())
    assert level == "trouble" and line.startswith("No controller runs: traffic goes on") and "`fs serve`" in line


def test_without_a_controller_and_with_a_damaged_ledger_both_are_told(served: Served) -> None:
    (served.folder / "ledger.db").write_bytes(b"no database" * 1000)
    damaged, absent = told(served, Absent())[2]
    assert "ledger.db: is damaged" in damaged and absent.startswith("No controller runs")


class Silent:
    def status(self) -> Status | None:
        raise Unanswered("s: its controller runs and has not answered for 3 s")


class Newer:
    def status(self) -> Status | None:
        raise ValidationError.from_exception_data("Status", [])


def test_a_controller_that_hangs_or_is_another_version(served: Served) -> None:
    assert told(served, Silent())[2] == ["s: its controller runs and has not answered for 3 s"]
    assert told(served, Newer())[2] == [ANOTHER_VERSION]


def test_nothing_was_served_yet(tmp_path: Path) -> None:
    standing = judge(look(tmp_path, Absent()))
    assert standing.level == "trouble" and "start with `fs serve`" in standing.findings[0].text
    assert list(tmp_path.iterdir()) == []


def test_a_stack_that_is_down_is_no_trouble_of_many_lines(served: Served) -> None:
    running = Running(served)
    failed = tuple(replica(str(n), "chat", "failed") for n in range(MOST_FINDINGS + 5))
    running.observed["one"] = Observed((replica("ok"), *failed))
    _, _, found = told(served, running)
    assert len(found) == MOST_FINDINGS and found[-1] == "6 more like these"
