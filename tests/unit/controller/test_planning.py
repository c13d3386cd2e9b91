from dataclasses import replace
from pathlib import Path

import pytest

from finsight_serve.controller.controller import Parts
from finsight_serve.controller.leaving import LeavingBalancer
from finsight_serve.controller.planning import compare, preview
from finsight_serve.controller.state import LOAD_BALANCER, State
from finsight_serve.plugin import Artefact, Observed, Plan, RouteTable
from finsight_serve.stack.values import PluginRef
from finsight_serve.testing import FakeLoadBalancer, FakeOrchestrator, make_env
from finsight_serve.testing.fake_actuators import FakeWorld

from .worlds import after, chosen, stack


def changes(planned: list[Artefact], in_force: list[Artefact]) -> dict[str, tuple[str, str]]:
    found = compare("one", Plan(tuple(planned)), Observed(in_force=tuple(in_force)))
    return {change.artefact: (change.action, change.diff) for change in found}


def test_what_is_new_differs_is_gone_or_stays() -> None:
    found = changes(
        [Artefact("new", "a\n"), Artefact("same", {"n": 1}), Artefact("other", {"n": 2})],
        [Artefact("same", {"n": 1}), Artefact("other", {"n": 1}), Artefact("old", "b\n")],
    )
    assert {name: action for name, (action, _) in found.items()} == {
        "new": "create",
        "same": "keep",
        "other": "change",
        "old": "remove",
    }
    assert '-  "n": 1' in found["other"][1] and '+  "n": 2' in found["other"][1]
    assert found["same"][1] == ""


def test_a_secret_is_never_shown() -> None:
    found = changes([Artefact("keys", "new-secret", secret=True)], [Artefact("keys", "old-secret", secret=True)])
    assert found["keys"] == ("change", "(secret: not shown)\n")


@pytest.mark.anyio
async def test_a_preview_changes_nothing_and_says_what_it_could_not_see(tmp_path: Path) -> None:
    one, edge = FakeWorld(blind="no route to host"), FakeWorld()
    env = make_env(tmp_path)
    parts = Parts({"one": FakeOrchestrator(None, env, one)}, FakeLoadBalancer(None, env, edge), None)  # type: ignore[arg-type]
    found = await preview(State(), chosen(stack(("chat", "one"))), parts, 0.0)
    assert not one.applied and not edge.applied
    assert found.unknown == ("one: ConnectionError: no route to host",)
    assert ("one", "chat", "create") in [(c.backend, c.artefact, c.action) for c in found.changes]
    assert (LOAD_BALANCER, "table", "create") in [(c.backend, c.artefact, c.action) for c in found.changes]
    assert {f.verdict for f in found.fidelity} == {"exact"}


@pytest.mark.anyio
async def test_a_preview_shows_what_goes_with_a_load_balancer_that_leaves(tmp_path: Path) -> None:
    """It goes last, after the routes of the one that stays."""
    env, one, left = make_env(tmp_path), FakeWorld(), FakeWorld(applied=[Plan((Artefact("route", {}),))])
    one.start(env.owner, "chat", "")
    alone = stack(("chat", "one"))
    before = after(chosen(replace(alone, edge=alone.load_balancer, load_balancer=PluginRef("inner"))))
    leaving = LeavingBalancer(_Emptied(None, env, left), env.clock)
    parts = Parts(
        {"one": FakeOrchestrator(None, env, one), "behind_edge/inner": leaving},  # type: ignore[dict-item]
        FakeLoadBalancer(None, env),
        None,  # type: ignore[arg-type]
    )
    found = await preview(before, chosen(alone), parts, 0.0)
    shown = [(one.artefact, one.action) for one in found.changes if one.backend == "behind_edge/inner"]
    assert shown == [("route", "remove")]


class _Emptied(FakeLoadBalancer):
    """Of no routes it makes no artefacts."""

    def compile(self, want: RouteTable) -> Plan:
        return super().compile(want) if want.routes else Plan(())
