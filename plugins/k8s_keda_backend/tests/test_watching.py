"""A watch ends, breaks or is too old; what is remembered is the truth in the end."""

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsight_serve_k8s_keda.kinds import EVENT, POD, SERVICE, Json
from finsight_serve_k8s_keda.refusals import ApiRefusal
from finsight_serve_k8s_keda.watching import Live, Watched, watching

sys.path.insert(0, str(Path(__file__).parent))

from fake_kube import FakeKube, QuickClock, until

NAMES = st.sampled_from("abc")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, st.integers(0, 3)),
        st.tuples(st.just("remove"), NAMES),
        st.tuples(st.just("forget")),
        st.tuples(st.just("close_watches")),
        st.tuples(st.just("pause")),
    ),
    max_size=30,
)
PODS = Watched(POD, "", lambda body: body.get("value"))


def pod(name: str, value: int) -> Json:
    return {"metadata": {"name": name}, "value": value}


@given(STEPS, st.booleans())
@settings(deadline=None, max_examples=200)
def test_in_the_end_it_is_the_truth(steps: list[tuple[Any, ...]], listed: bool) -> None:
    async def run() -> None:
        api = FakeKube()
        watched = Watched(POD, "", lambda body: body["value"], optional=not listed, listed=listed)
        async with watching(api, [watched], QuickClock()) as live:
            for step in steps:
                match step:
                    case ("put", name, value):
                        api.put(POD, pod(name, value))
                    case ("remove", name):
                        api.remove(POD, name)
                    case ("pause",):
                        for _ in range(5):
                            await asyncio.sleep(0)
                    case (fault,):
                        getattr(api, fault)()
            truth = {name: body["value"] for (_, name), body in api.objects.items()}
            await until(lambda: dict(live.kept(POD)) == truth)

    anyio.run(run)


async def first_change(live: Live) -> None:
    async with aclosing(live.changes()) as changes:
        await anext(changes)


@pytest.mark.anyio
async def test_nothing_is_shown_before_all_is_known() -> None:
    api = FakeKube(refusals={"list Service": 410})
    api.put(POD, pod("a", 1))
    async with watching(api, [PODS, Watched(SERVICE, "", lambda body: 1)], QuickClock()) as live:
        waiting = asyncio.create_task(first_change(live))
        await until(lambda: api.asked.count("list Service") > 3)
        assert not waiting.done() and live.kept(POD)
        del api.refusals["list Service"]
        await asyncio.wait_for(waiting, 5)


@pytest.mark.anyio
async def test_a_watch_that_the_server_closes_goes_on_without_a_new_list() -> None:
    api = FakeKube()
    async with watching(api, [PODS], QuickClock()) as live:
        await first_change(live)
        await until(lambda: api.asked == ["list Pod", "watch Pod"])
        api.close_watches()
        await until(lambda: api.asked == ["list Pod", "watch Pod", "watch Pod"])
        api.put(POD, pod("a", 1))
        await until(lambda: dict(live.kept(POD)) == {"a": 1})
        assert api.asked.count("list Pod") == 1


@pytest.mark.anyio
async def test_410_lists_again() -> None:
    api = FakeKube()
    api.put(POD, pod("a", 1))
    async with watching(api, [PODS], QuickClock()) as live:
        await first_change(live)
        api.remove(POD, "a")
        api.forget()
        await until(lambda: not live.kept(POD) and api.asked.count("list Pod") == 2)


@pytest.mark.anyio
async def test_a_burst_is_one_change() -> None:
    api = FakeKube()
    async with watching(api, [PODS], QuickClock()) as live, aclosing(live.changes()) as changes:
        await anext(changes)
        for number in range(50):
            api.put(POD, pod(f"p{number}", 1))
        await until(lambda: len(live.kept(POD)) == 50)
        await anext(changes)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(changes), 0.05)


@pytest.mark.anyio
async def test_what_is_not_kept_is_no_change() -> None:
    api = FakeKube()
    async with watching(api, [PODS], QuickClock()) as live, aclosing(live.changes()) as changes:
        await anext(changes)
        api.put(POD, {"metadata": {"name": "a"}})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(changes), 0.05)
        assert not live.kept(POD)


@pytest.mark.anyio
@pytest.mark.parametrize(("what", "code"), [("list Pod", 403), ("list Pod", 0), ("watch Pod", 403)])
async def test_what_cannot_be_known_is_raised(what: str, code: int) -> None:
    api = FakeKube(refusals={what: code})
    async with watching(api, [PODS], QuickClock()) as live:
        with pytest.raises(ApiRefusal) as refused:
            async with aclosing(live.changes()) as changes, asyncio.timeout(5):
                async for _ in changes:
                    pass
        assert refused.value.code == code


@pytest.mark.anyio
async def test_a_server_that_goes_away_is_raised() -> None:
    api = FakeKube()
    async with watching(api, [PODS], QuickClock()) as live, aclosing(live.changes()) as changes:
        await anext(changes)
        api.refusals = {"list Pod": 0, "watch Pod": 0}
        api.close_watches()
        with pytest.raises(ApiRefusal):
            await asyncio.wait_for(anext(changes), 5)


@pytest.mark.anyio
@pytest.mark.parametrize("code", [403, 404])
async def test_an_optional_kind_may_be_missing_and_come_later(code: int) -> None:
    api = FakeKube(refusals={"watch Event": code})
    api.put(EVENT, pod("e", 1))
    events = Watched(EVENT, "", lambda body: body["value"], optional=True, listed=False)
    async with watching(api, [PODS, events], QuickClock()) as live:
        await first_change(live)
        assert not live.kept(EVENT)
        api.refusals = {}
        await until(lambda: dict(live.kept(EVENT)) == {"e": 1})


@pytest.mark.anyio
async def test_nothing_runs_on_afterwards() -> None:
    before = asyncio.all_tasks()
    async with watching(FakeKube(), [PODS], QuickClock()) as live:
        await first_change(live)
        assert asyncio.all_tasks() > before
    assert asyncio.all_tasks() == before
