from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.controller.actuator import ActuatorTasks
from finsight_serve.controller.edge import Fronted, address_of, edge_table, inner_table, lacks_together, together
from finsight_serve.controller.facts import Applied, Fact, NotApplied
from finsight_serve.plugin import (
    REFUSED,
    ApplyError,
    Artefact,
    Feature,
    Limits,
    Observed,
    Plan,
    Replica,
    Request,
    Route,
    RouteTable,
)
from finsight_serve.processes import SystemClock
from finsight_serve.testing import FakeLoadBalancer, make_env
from finsight_serve.testing.fake_actuators import FakeWorld
from finsight_serve.testing.waiting import wait_for

SOLE = Route("sole", ("a" * 64,), {"chat": 100}, Limits(3), 5, {"chat": 100})
SPLIT = Route("split", ("b" * 64,), {"pods": 25, "chat": 50, REFUSED: 25}, assigned={"pods": 30, "chat": 70})
NOWHERE = Route("nowhere", ("c" * 64,), {}, assigned={"chat": 100})
REPLICAS = (Replica("1", "chat", "10.0.0.1:1", "ready"), Replica("2", "pods", "10.0.0.2:1", "ready"))
TABLE = RouteTable(
    (SOLE, SPLIT, NOWHERE), REPLICAS, {"chat": "s1", "pods": "s2"}, 7, "/s/shadow.sock", {"pods": "k8s://u/n/pods:80"}
)


class Halves:
    def __init__(self, folder: Path) -> None:
        self.edge_world, self.inner_world = FakeWorld(), FakeWorld()
        self.edge = FakeLoadBalancer(None, make_env(folder / "edge"), self.edge_world)
        self.inner = FakeLoadBalancer(None, make_env(folder / "inner"), self.inner_world)
        self.inner.url = "http://10.0.0.9:8080"
        self.both = Fronted(self.edge, self.inner)


@pytest.fixture
def halves(tmp_path: Path) -> Halves:
    return Halves(tmp_path)


def test_to_the_edge_every_deployment_is_the_inner_load_balancer() -> None:
    table = edge_table(TABLE, "10.0.0.9:8080")
    assert {route.tenant: dict(route.weights) for route in table.routes} == {
        "sole": {"chat": 100},
        "split": {"chat+pods": 75, REFUSED: 25},
        "nowhere": {},
    }
    assert {(one.deployment, one.address) for one in table.replicas} == {
        ("chat", "10.0.0.9:8080"),
        ("chat+pods", "10.0.0.9:8080"),
    }
    assert table.upstream_keys == dict.fromkeys(("chat", "pods", "chat+pods"), "s1,s2")
    assert table.fronts and table.version == 7 and table.shadow_socket == TABLE.shadow_socket
    for before, after in zip(TABLE.routes, table.routes, strict=True):
        assert replace(after, weights=before.weights) == before


def test_the_inner_one_gets_no_secret_no_limit_and_nothing_to_refuse() -> None:
    table = inner_table(TABLE)
    assert [dict(route.weights) for route in table.routes] == [{"chat": 100}, {"pods": 33, "chat": 67}, {}]
    assert all(not r.key_sha256 and r.limits == Limits() and not r.shadow_percent for r in table.routes)
    assert not table.upstream_keys and not table.shadow_socket and not table.fronts
    assert (table.replicas, table.refs, table.version) == (REPLICAS, TABLE.refs, 7)


def _shares(cuts: list[int]) -> dict[str, int]:
    first, second, third = sorted(cuts)
    return {"a": first, REFUSED: second - first, "b": third - second, "c": 100 - third}


@given(st.lists(st.integers(0, 100), min_size=3, max_size=3).map(_shares))
def test_shares_through_both_are_those_of_the_table(weights: dict[str, int]) -> None:
    table = RouteTable((Route("t", (), weights),))
    (edge,), (inner,) = edge_table(table, "h:1").routes, inner_table(table).routes
    through = sum(percent for name, percent in edge.weights.items() if name != REFUSED)
    assert through == 100 - weights.get(REFUSED, 0)
    assert sum(edge.weights.values()) in (0, 100) and sum(inner.weights.values()) == (100 if through else 0)
    for name, percent in inner.weights.items():
        assert name != REFUSED and abs(percent * through / 100 - weights[name]) < 1


def test_without_an_address_everybody_is_refused() -> None:
    table = edge_table(TABLE, "")
    assert not table.replicas and all(route.weights == {} for route in table.routes)


@pytest.mark.parametrize(
    ("url", "address"),
    [("", ""), ("http://h:81", "h:81"), ("http://h", "h:80"), ("http://[fd00::1]:8080/", "[fd00::1]:8080")],
)
def test_an_address_is_taken_from_the_url(url: str, address: str) -> None:
    assert address_of(url) == address


def test_an_address_that_the_edge_could_not_reach_is_refused() -> None:
    with pytest.raises(ValueError, match=r"by plain HTTP only, and this one is at https://h"):
        address_of("https://h")


def test_of_what_either_lacks_the_answer_is_the_halfs_that_does_it() -> None:
    inner = dict.fromkeys((Feature.KEYS, Feature.LEDGER, Feature.OPEN_STREAMS, Feature.STICKY), "inner")
    assert lacks_together({Feature.SHADOW: "edge"}, inner) == {Feature.SHADOW: "edge", Feature.STICKY: "inner"}


def test_streams_whose_deployment_is_not_known_count_at_each_that_it_may_be() -> None:
    edge = Observed(open_streams={("t", "chat"): 1, ("t", "chat+pods"): 2, ("u", "pods"): 3})
    assert together(edge, Observed()).open_streams == {("t", "chat"): 3, ("t", "pods"): 2, ("u", "pods"): 3}
    assert together(Observed(), Observed()).open_streams is None


def test_the_certificate_is_the_edges() -> None:
    assert together(Observed(certificate_ends_s=7.0), Observed(certificate_ends_s=1.0)).certificate_ends_s == 7.0


def test_what_is_in_force_is_known_of_both_or_not_at_all() -> None:
    one = Observed(in_force=(Artefact("a", 1),), notes={"chat": "well"}, refs={"chat": "r"})
    found = together(Observed(in_force=(Artefact("a", 2),)), one)
    assert found.in_force == (Artefact("edge/a", 2), Artefact("routes/a", 1))
    assert (found.notes, found.refs) == ({"chat": "well"}, {"chat": "r"})
    assert together(Observed(), one).in_force is None


@pytest.mark.anyio
async def test_each_half_gets_its_own_half_of_the_plan(halves: Halves) -> None:
    await halves.both.apply(halves.both.compile(TABLE))
    (edge,), (inner,) = halves.edge_world.applied, halves.inner_world.applied
    assert edge == halves.edge.compile(edge_table(TABLE, "10.0.0.9:8080"))
    assert inner == halves.inner.compile(inner_table(TABLE))
    assert "s1" not in repr(inner)


@pytest.mark.anyio
@pytest.mark.parametrize("routes", [True, False])
async def test_the_way_is_there_before_anybody_is_sent_and_until_the_last_has_gone(
    halves: Halves, monkeypatch: pytest.MonkeyPatch, routes: bool
) -> None:
    order: list[str] = []

    async def note(half: str) -> None:
        await anyio.lowlevel.checkpoint()
        order.append(half)

    monkeypatch.setattr(halves.edge, "apply", lambda plan: note("edge"))
    monkeypatch.setattr(halves.inner, "apply", lambda plan: note("inner"))
    plan = halves.both.compile(TABLE)
    await halves.both.apply(plan if routes else Plan(tuple(a for a in plan.artefacts if a.name.startswith("routes/"))))
    assert order == (["inner", "edge"] if routes else ["edge", "inner"])


@pytest.mark.anyio
async def test_an_inner_one_that_fails_is_told_and_the_edge_changed_all_the_same(halves: Halves) -> None:
    halves.inner_world.failure = "forbidden"
    with pytest.raises(ApplyError, match="forbidden"):
        await halves.both.apply(halves.both.compile(TABLE))
    assert len(halves.edge_world.applied) == 1


@pytest.mark.anyio
async def test_an_inner_one_that_hangs_does_not_hold_up_the_edge(
    halves: Halves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finsight_serve.controller.edge.PATIENCE_S", 0.01)
    halves.inner_world.hangs = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(halves.both.apply, halves.both.compile(TABLE))
        with anyio.fail_after(5):
            await wait_for(lambda: bool(halves.edge_world.applied))
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_an_address_that_becomes_known_is_routed_to_with_the_next_try(halves: Halves) -> None:
    halves.inner.url = ""
    told: list[Fact] = []

    async def report(fact: Fact) -> None:
        told.append(fact)

    async def apply(plan: Plan) -> None:
        halves.inner.url = "http://10.0.0.9:8080"

    halves.inner.apply = apply  # type: ignore[method-assign]
    tasks = ActuatorTasks("", halves.both, report, lambda backend, plan: None, SystemClock())  # type: ignore[arg-type]
    async with anyio.create_task_group() as group:
        group.start_soon(tasks.run)
        tasks.order(TABLE)
        with anyio.fail_after(10):
            await wait_for(lambda: any(isinstance(fact, Applied) for fact in told))
        group.cancel_scope.cancel()
    assert any(isinstance(fact, NotApplied) and "another address" in fact.reason for fact in told)
    assert [bool(plan.artefacts[0].body["replicas"]) for plan in halves.edge_world.applied] == [False, True]


async def _first(snapshots: AsyncIterator[Observed]) -> Observed:
    async with aclosing(snapshots):  # type: ignore[type-var]
        with anyio.fail_after(5):
            return await anext(snapshots)


@pytest.mark.anyio
async def test_observing_sees_both_and_every_change_of_either(halves: Halves) -> None:
    async with aclosing(halves.both.observe()) as snapshots:  # type: ignore[type-var]
        with anyio.fail_after(5):
            assert (await anext(snapshots)).open_streams == {}
            halves.edge_world.open_streams = {("t", "chat"): 1}
            halves.edge_world.notify()
            assert (await anext(snapshots)).open_streams == {("t", "chat"): 1}
            await halves.inner.apply(halves.inner.compile(inner_table(TABLE)))
            found = await anext(snapshots)
            assert [one.name for one in found.in_force or ()] == ["routes/table", "routes/upstream-keys"]


@pytest.mark.anyio
async def test_what_can_not_be_seen_of_either_is_not_known_of_both(halves: Halves) -> None:
    halves.inner_world.blind = "no route to host"
    with pytest.raises(ConnectionError, match="no route to host"):
        await _first(halves.both.observe())


@pytest.mark.anyio
async def test_the_ledger_is_the_edges(halves: Halves) -> None:
    halves.edge_world.record(Request("", "r1", "t", "chat", "", 200, "complete", 0.0, 1.0, 0.5))
    async with aclosing(halves.both.requests("")) as rows:  # type: ignore[type-var]
        with anyio.fail_after(5):
            assert (await anext(rows)).id == "r1"
