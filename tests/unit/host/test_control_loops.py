import pytest

from finsight_serve.host import Host, PluginError

from ..foreign import MEMBERS, PLUGIN, Foreign

ORCHESTRATOR = PLUGIN.format(name="acme", kind="orchestrator", members=MEMBERS["orchestrator"])
LOOP = """
class Loop:
    period_s = 5.0
    def step(self, policy, now_s, ongoing, ready, target):
        return target

@hookimpl
def control_loop():
    return Loop
"""


def test_every_call_builds_a_fresh_loop(foreign: Foreign) -> None:
    foreign.install_plugin("orchestrator", "acme", ORCHESTRATOR + LOOP)
    host = Host()
    first, second = host.control_loop("acme"), host.control_loop("acme")
    assert first is not None and second is not None
    assert first is not second
    assert first.period_s == 5.0


def test_an_orchestrator_without_one_has_none(foreign: Foreign) -> None:
    foreign.install_plugin("orchestrator", "acme", ORCHESTRATOR)
    assert Host().control_loop("acme") is None


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (LOOP.replace("return Loop", "raise ValueError('no')"), "its control loop can't be built: ValueError: no"),
        (LOOP.replace("return Loop", "return 3"), "its control loop can't be built: TypeError"),
        (LOOP.replace("    period_s = 5.0\n", ""), "its control loop lacks period_s"),
    ],
)
def test_a_broken_one_is_one_line(foreign: Foreign, source: str, told: str) -> None:
    foreign.install_plugin("orchestrator", "acme", ORCHESTRATOR + source)
    with pytest.raises(PluginError) as raised:
        Host().control_loop("acme")
    assert str(raised.value).startswith(f"orchestrator acme: {told}")
    assert "\n" not in str(raised.value)


def test_a_shipped_loop_can_be_asked_for_twice() -> None:
    """A module of a hook's name would take the hook's place in its package once it is imported."""
    host = Host()
    pairs = [(host.control_loop(name), host.control_loop(name)) for name in host.names("orchestrator")]
    assert all(type(first) is type(second) for first, second in pairs)
    assert any(first is not None for first, _ in pairs)
