"""Who is let in where there is little room: njs/room.js by itself, over long orders of arrivals and departures."""

import json
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

import pytest

SCRIPT = resources.files("finsight_serve_nginx") / "njs" / "room.js"
RUN = """
const cases = JSON.parse(require('fs').readFileSync(0));
console.log(JSON.stringify(cases.map(({ bound, steps }) => {
    const own = {};
    let ongoing = 0;
    return steps.map(([tenant, arrives]) => {
        const had = own[tenant] || 0, before = ongoing;
        const let_in = arrives && module.exports.admits(bound, ongoing, had);
        const change = let_in ? 1 : !arrives && had ? -1 : 0;
        own[tenant] = had + change;
        ongoing += change;
        return [tenant, arrives, let_in, before, had];
    });
})));
"""


class Step(NamedTuple):
    tenant: int
    arrives: bool  # else one of its requests ends, if it has any
    let_in: bool
    ongoing: int  # before it
    own: int


def played(*cases: tuple[int, Sequence[tuple[int, bool]]]) -> list[list[Step]]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is missing, which runs the decision apart from nginx")
    script = SCRIPT.read_text("utf-8").replace("export default", "module.exports =") + RUN
    given: list[dict[str, Any]] = [{"bound": bound, "steps": list(steps)} for bound, steps in cases]
    done = subprocess.run([node, "-e", script], input=json.dumps(given), capture_output=True, text=True, check=True)
    return [[Step(*step) for step in steps] for steps in json.loads(done.stdout)]


def test_the_bound_holds_and_who_has_nothing_gets_in_as_long_as_there_is_room() -> None:
    draws = random.Random(7)
    cases = [
        (bound, [(min(draws.randrange(6), draws.randrange(6)), draws.random() < 0.6) for _ in range(200)])
        for bound in range(1, 120)
    ]
    for (bound, _), steps in zip(cases, played(*cases), strict=True):
        arrivals = [step for step in steps if step.arrives]
        assert any(step.let_in for step in arrivals)
        for step in arrivals:
            assert not step.let_in or step.ongoing < bound
            assert step.let_in or step.own > 0 or step.ongoing >= bound


@pytest.mark.parametrize(("tenants", "each"), [(1, 40), (2, 24), (5, 11), (10, 6)])
def test_all_who_ask_for_everything_get_the_same_and_a_little_is_left(tenants: int, each: int) -> None:
    [steps] = played((60, [(tenant, True) for _ in range(100) for tenant in range(tenants)]))
    counts = Counter(step.tenant for step in steps if step.let_in)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert abs(counts[0] - each) <= 1 and counts.total() < 60


def test_who_floods_a_hundred_times_as_much_keeps_nobody_out() -> None:
    """Requests end as in an engine: whoever has more of them ends more often."""
    draws = random.Random(11)
    arrivals = [(draws.choices((0, 1), (100, 1))[0], True) for _ in range(6000)]
    ends = [(draws.choices((0, 1), (9, 1))[0], False) for _ in range(6000)]
    [steps] = played((24, [step for pair in zip(arrivals, ends, strict=True) for step in pair]))
    asked = [step.let_in for step in steps if step.arrives and step.tenant == 1]
    assert len(asked) > 40 and all(asked)
