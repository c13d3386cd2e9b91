"""The controller's tasks over actuators that live in memory: what it does around `reduce` and `want`."""

import time
from dataclasses import replace

import anyio
import pytest

from finsight_serve.controller.backoff import backoff_s
from finsight_serve.controller.client import Client
from finsight_serve.controller.controller import Controller
from finsight_serve.controller.facts import StopAsked
from finsight_serve.controller.want import is_stopped
from finsight_serve.domain.health import HealthRules
from finsight_serve.plugin import Plan, Replica, Request, Verdict
from finsight_serve.stack.values import PluginRef
from finsight_serve.store import Ledger
from finsight_serve.testing import wait_for
from finsight_serve.testing.fake_actuators import FakeWorld

from .bench import ON_ONE, Bench, start
from .worlds import chosen, stack

pytestmark = pytest.mark.anyio


async def test_it_starts_replicas_and_routes_to_them(bench: Bench) -> None:
    async with bench.running(start()) as controller:
        await wait_for(lambda: controller.is_ready)
        assert bench.routed() == ["chat-1"]


async def test_nothing_is_routed_before_it_is_ready(bench: Bench) -> None:
    bench.one.starts_ready = False
    async with bench.running(start()) as controller:
        await wait_for(lambda: bench.edge.applied)
        assert not controller.is_ready and bench.routed() == []
        bench.one.make_ready("chat-1")
        await wait_for(lambda: controller.is_ready)
        assert bench.routed() == ["chat-1"]


async def test_a_restart_adopts_what_runs(bench: Bench) -> None:
    async with bench.running(start()) as controller:
        await wait_for(lambda: controller.is_ready)
    async with bench.running(start()) as controller:
        await wait_for(lambda: controller.is_ready)
        assert list(bench.one.replicas) == ["chat-1"]
        assert all(plan.artefacts[0].body["replicas"] for plan in bench.edge.applied[1:])


async def test_an_unhealthy_replica_is_replaced_and_leaves_the_routes_first(bench: Bench) -> None:
    rules = stack(("chat", "one"), rules=HealthRules(period_s=0.05))
    async with bench.running(chosen(rules)) as controller:
        await wait_for(lambda: controller.is_ready)
        bench.probe.verdicts["chat-1"] = "wrong"
        await wait_for(lambda: "chat-1" not in bench.one.replicas)
        await wait_for(lambda: bench.routed() == ["chat-2"])
    assert "replica_evicted" in bench.kinds()


async def test_a_crashed_replica_is_repaired(bench: Bench) -> None:
    async with bench.running(start()) as controller:
        await wait_for(lambda: controller.is_ready)
        bench.one.fail("chat-1", "out of memory")
        await wait_for(lambda: bench.routed() == ["chat-2"])
        assert any("out of memory" in event.reason for event in bench.events)
        assert controller.failed is None


async def test_a_replica_that_fails_while_a_repair_waits_its_turn_is_repaired_too(bench: Bench) -> None:
    async with bench.running(start()) as controller:
        await wait_for(lambda: controller.is_ready)
        for number in (1, 2, 3):
            bench.one.fail(f"chat-{number}", "crashed")
            await wait_for(lambda number=number: bench.routed() == [f"chat-{number + 1}"], 20)


async def test_a_first_start_that_fails_says_why_and_stops(bench: Bench) -> None:
    bench.one.starts_ready = False
    async with bench.running(start()) as controller:
        await wait_for(lambda: bench.one.replicas)
        bench.one.fail("chat-1", "no such model")
        await wait_for(lambda: controller.failed)
        await wait_for(lambda: not bench.one.replicas)
    assert controller.failed == "deployment chat does not start: no such model (`fs logs` shows more)"


@pytest.mark.parametrize("elsewhere", [True, False])
async def test_a_first_start_that_is_refused_for_good_is_given_up_at_once(bench: Bench, elsewhere: bool) -> None:
    """What runs elsewhere is of before this start, and stays."""
    bench.one.failure, bench.one.failure_lasts = "chat is another stack's", True
    bench.one.starts_ready = False
    bench.one.start("bench", "chat", "of before")
    async with bench.running(start(), on_this_machine=not elsewhere) as controller:
        await wait_for(lambda: controller.failed)
        assert controller.failed == "one can't be set up: chat is another stack's"
        bench.one.failure = None
        if elsewhere:
            await wait_for(lambda: is_stopped(controller._state))
        else:
            await wait_for(lambda: not bench.one.replicas)
    assert (bool(bench.one.replicas), not bench.one.applied) == (elsewhere, elsewhere)
    assert bench.kinds().count("apply_failed") == 1


async def test_a_stack_that_serves_is_kept_whatever_is_refused_for_good(bench: Bench) -> None:
    async with bench.running(start()) as controller:
        await wait_for(lambda: controller.is_ready)
        bench.one.failure, bench.one.failure_lasts = "chat is another stack's", True
        bench.one.fail("chat-1", "crashed")
        await wait_for(lambda: "apply_failed" in bench.kinds())
        bench.one.failure = None
        await wait_for(lambda: bench.routed() == ["chat-2"])
        assert controller.failed is None


async def test_a_hung_backend_does_not_delay_the_edge(bench: Bench) -> None:
    async with bench.running(start()) as controller:
        await wait_for(lambda: controller.is_ready)
        bench.one.hangs = True
        bench.one.fail("chat-1", "crashed")
        await wait_for(lambda: bench.routed() == [])


async def test_what_cannot_be_applied_is_tried_again(bench: Bench) -> None:
    bench.one.failure = "no quota"
    async with bench.running(start()) as controller:
        await wait_for(lambda: "apply_failed" in bench.kinds())
        assert controller.status().backends[0].state == "not applied: no quota"
        bench.one.failure = None
        await wait_for(lambda: controller.is_ready)
        assert controller.status().backends[0].state == "ok"


async def test_what_cannot_be_applied_and_is_taken_back_is_no_trouble_any_more(bench: Bench) -> None:
    async with bench.running(start()) as controller:
        await wait_for(lambda: controller.is_ready)
        before = controller._backends["one"].in_force
        bench.one.failure = "no room"
        controller._backends["one"].order(())
        await wait_for(lambda: controller.status().backends[0].state == "not applied: no room")
        bench.one.failure = None
        controller._backends["one"].order(before)
        await wait_for(lambda: controller.status().backends[0].state == "ok")
        assert controller._backends["one"].in_force == before


def test_a_wait_between_tries_grows_to_its_bound_and_no_further() -> None:
    assert [backoff_s(attempt) for attempt in (0, 1, 2, 3)] == [0.0, 0.5, 1.0, 2.0]
    assert backoff_s(10_000) == 30.0


async def test_a_newer_want_does_not_end_the_pauses_between_tries(bench: Bench) -> None:
    tries: list[str] = []

    class Counting(str):
        def __bool__(self) -> bool:
            tries.append("one")
            return True

    bench.one.failure = Counting("no quota")
    async with bench.running(start()) as controller:
        await wait_for(lambda: tries)
        controller._backends["one"].order(())
        # a second in which too many tries could come: only time can show that they don't
        with anyio.move_on_after(1.0):
            await wait_for(lambda: len(tries) > 5)
        assert 2 <= len(tries) <= 5


async def test_a_probe_that_raises_is_told_and_takes_nothing_down(bench: Bench) -> None:
    async def broken(replica: Replica, model: str, key: str) -> Verdict:
        raise RuntimeError("no such attribute")

    bench.probe.probe = broken  # type: ignore[method-assign]
    async with bench.running(chosen(stack(("chat", "one"), rules=HealthRules(period_s=0.1)))) as controller:
        await wait_for(lambda: controller.is_ready)
        await wait_for(lambda: any("RuntimeError: no such attribute" in line for line in bench.said))


async def test_a_lost_control_plane_keeps_the_routes(bench: Bench) -> None:
    async with bench.running(start()) as controller:
        await wait_for(lambda: controller.is_ready)
        bench.one.blind = "gone"
        bench.one.notify()
        await wait_for(lambda: "unreachable" in bench.kinds())
        assert bench.routed() == ["chat-1"]


async def test_a_veto_keeps_a_plan_from_being_applied(bench: Bench) -> None:
    bench.veto = "it is Friday"
    async with bench.running(start()):
        await wait_for(lambda: "apply_failed" in bench.kinds())
        assert not bench.one.applied and not bench.edge.applied
    assert any(event.reason == "vetoed: it is Friday" for event in bench.events)


async def test_a_load_balancer_that_left_the_stack_is_emptied_by_whichever_controller_can(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finsight_serve.controller.leaving.GRACE_S", 0.0)
    inner, alone = FakeWorld(failure="no route to host"), replace(ON_ONE, load_balancer=PluginRef("an-edge"))
    async with bench.running(chosen(replace(ON_ONE, edge=PluginRef("an-edge")))) as controller:
        await wait_for(lambda: controller.is_ready)
    left = {"behind_edge/a-balancer": inner}
    async with bench.running(chosen(alone), left=left) as controller:
        await wait_for(lambda: "apply_failed" in bench.kinds())
        assert controller.is_ready and controller.failed is None
    inner.failure = None
    async with bench.running(chosen(alone), left=left) as controller:
        await wait_for(lambda: not controller._state.durable.retired)
    (plan,) = inner.applied
    assert plan.artefacts[0].body["routes"] == []


async def test_stopping_empties_the_edge_before_the_replicas(bench: Bench) -> None:
    order: list[str] = []
    async with bench.running(start()) as controller:
        await wait_for(lambda: controller.is_ready)
        before = len(bench.edge.applied)
        bench.edge.applied = _Noting(bench.edge.applied, order, "edge")
        bench.one.applied = _Noting(bench.one.applied, order, "one")
        assert await anyio.to_thread.run_sync(lambda: Client(bench.folder).intend(StopAsked(keep=frozenset())))
        await wait_for(lambda: not bench.one.replicas)
        assert order == ["edge", "one"] and len(bench.edge.applied) == before + 1


class _Noting(list[Plan]):
    def __init__(self, plans: list[Plan], order: list[str], name: str) -> None:
        super().__init__(plans)
        self._order, self._name = order, name

    def append(self, plan: Plan) -> None:
        self._order.append(self._name)
        super().append(plan)


async def test_the_ledger_is_copied_once_across_a_restart(bench: Bench) -> None:
    def request(id: str) -> Request:
        return Request("", id, "default", "chat", "127.0.0.1:1", 200, "complete", time.time(), 0.5, 0.1)

    async def rows(controller: Controller) -> int:
        return sum(row.requests for row in controller.status().ledger)

    async with bench.running(start()) as controller:
        bench.edge.record(request("a"))
        await wait_for(lambda: rows(controller))
    bench.edge.record(request("b"))
    async with bench.running(start()) as controller:

        async def both() -> bool:
            return await rows(controller) == 2

        await wait_for(both)


def routed_by(version: int) -> Request:
    return Request("", f"r{version}", "default", "chat", "127.0.0.1:1", 200, "complete", 1.0, 0.5, 0.1, version)


async def test_route_tables_are_numbered_above_what_the_ledger_has(bench: Bench) -> None:
    """The state was put back to an earlier one: at the start, and where the log is read on to later requests."""
    ledger = Ledger(bench.folder)
    await ledger.add([routed_by(50)])
    ledger.close()
    async with bench.running(start()) as controller:
        await wait_for(lambda: controller.is_ready)
        assert min(bench.route_versions()) > 50
        later = bench.route_versions()[-1] + 40
        bench.edge.record(routed_by(later))
        await wait_for(lambda: bench.route_versions()[-1] > later)
