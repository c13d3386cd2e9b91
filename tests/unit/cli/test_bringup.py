"""Which plugins a stack is built of, and which of them this machine must be good enough for."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from finsight_serve.cli.bringup import check_machine, machine_problems
from finsight_serve.cli.main import cli
from finsight_serve.cli.migrate_view import balancer_lacks
from finsight_serve.cli.options import say_nothing
from finsight_serve.controller.assembly import build_parts
from finsight_serve.controller.edge import Fronted
from finsight_serve.errors import UserError
from finsight_serve.host import Host
from finsight_serve.plugin import Feature
from finsight_serve.stack import load_stack

from ..foreign import MEMBERS, PLUGIN, Foreign

CHECK = "def check(self):\n        return "
FILE = """\
name: small
backend: {backend}
load_balancer: {balancer}
edge: {edge}
deployments: [{{name: chat, model: m, engine: absent}}]
"""


@pytest.fixture
def installed(one_of_each: Foreign) -> Foreign:
    absent = PLUGIN.format(name="absent", kind="engine", members=MEMBERS["engine"])
    missing = "Problem('the engine is not installed', 'install it')"
    one_of_each.install_plugin("engine", "absent", absent.replace(f"{CHECK}()", f"{CHECK}({missing},)"))
    cloud = PLUGIN.format(name="cloud", kind="orchestrator", members=MEMBERS["orchestrator"])
    one_of_each.install_plugin("orchestrator", "cloud", cloud.replace("on_this_machine = True", "on_this_machine = 0"))
    plain = PLUGIN.format(name="plain", kind="load_balancer", members=MEMBERS["load_balancer"])
    lacks = "Feature.KEYS: 'none', Feature.STICKY: 'none'"
    one_of_each.install_plugin("load_balancer", "plain", plain.replace('Feature.EVICT: "it has no hands"', lacks))
    return one_of_each


def write(folder: Path, **names: str) -> Path:
    file = folder / "fs.yaml"
    file.write_text(FILE.format(**{"backend": "acme", "balancer": "acme", "edge": "null", **names}))
    return file


@pytest.mark.parametrize(("backend", "found"), [("acme", ["the engine is not installed"]), ("cloud", [])])
def test_an_engine_is_asked_for_where_it_runs(
    installed: Foreign, tmp_path: Path, backend: str, found: list[str]
) -> None:
    stack = load_stack(write(tmp_path, backend=backend), Host())
    assert [problem.message for problem in machine_problems(stack, Host(), tmp_path / "state")] == found


def test_a_warning_is_said_and_refuses_nothing(
    installed: Foreign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = PLUGIN.format(name="slow", kind="orchestrator", members=MEMBERS["orchestrator"])
    warning = "Problem('its disk is slow', 'buy another', is_warning=True)"
    slow = slow.replace("on_this_machine = True", "on_this_machine = 0").replace(f"{CHECK}()", f"{CHECK}({warning},)")
    installed.install_plugin("orchestrator", "slow", slow)
    file, said = write(tmp_path, backend="slow"), list[str]()
    check_machine(file, load_stack(file, Host()), Host(), tmp_path / "state", said.append)
    assert said == ["warning: its disk is slow; buy another"]
    told = CliRunner().invoke(cli, ["doctor", "-f", str(file), "--state", str(tmp_path / "state")])
    assert (told.exit_code, "warning: its disk is slow" in told.stdout) == (0, True)
    file = write(tmp_path, backend="acme")
    with pytest.raises(UserError, match=r"^the engine is not installed; install it$"):
        check_machine(file, load_stack(file, Host()), Host(), tmp_path / "state", said.append)


def test_what_clients_talk_to_keeps_its_folder_when_another_comes_behind_it(installed: Foreign, tmp_path: Path) -> None:
    alone = load_stack(write(tmp_path), Host())
    fronted = load_stack(write(tmp_path, balancer="plain", edge="acme"), Host())
    first = build_parts(alone, {}, Host(), tmp_path / "state", "me", say_nothing).load_balancer
    then = build_parts(fronted, {}, Host(), tmp_path / "state", "me", say_nothing).load_balancer
    assert isinstance(then, Fronted)
    assert then.edge.env.state_dir == first.env.state_dir  # type: ignore[attr-defined]
    assert then.inner.env.state_dir != first.env.state_dir  # type: ignore[attr-defined]
    assert then.inner.env.owner == "me"  # type: ignore[attr-defined]
    left = {"behind_edge/plain": fronted.load_balancer}
    leaving = build_parts(alone, left, Host(), tmp_path / "state", "me", say_nothing).orchestrators["behind_edge/plain"]
    assert leaving._balancer.env.state_dir == then.inner.env.state_dir  # type: ignore[attr-defined]
    assert leaving._balancer.env.owner == "me"  # type: ignore[attr-defined]
    assert then.lacks == balancer_lacks(fronted) == {Feature.STICKY: "none", Feature.EVICT: "it has no hands"}
