import re

import pytest
from pydantic import ValidationError

from finsight_serve.host import Host, PluginError
from finsight_serve.testing import make_env

from ..foreign import MEMBERS, PLUGIN, Foreign

WORKING = PLUGIN.format(name="acme", kind="engine", members=MEMBERS["engine"])


def failure(foreign: Foreign, source: str) -> str:
    """The one line that loading an engine `acme` with this source ends in."""
    foreign.install_plugin("engine", "acme", source)
    with pytest.raises(PluginError) as caught:
        Host().load("engine", "acme")
    assert (caught.value.kind, caught.value.name) == ("engine", "acme")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_loads_the_class_of_that_plugin_and_imports_no_other(one_of_each: Foreign) -> None:
    host = Host()
    assert host.load("engine", "acme").name == "acme"
    assert one_of_each.imported() == {"foreign_engine_acme"}
    assert host.load("engine", "acme") is host.load("engine", "acme")


def test_unknown_name_tells_those_installed_and_the_nearest(foreign: Foreign) -> None:
    foreign.install_plugin("engine", "acme")
    foreign.install_plugin("engine", "zeta")
    with pytest.raises(
        PluginError, match=r"^no engine named acne is installed; installed: acme, zeta; did you mean acme\?$"
    ):
        Host().load("engine", "acne")
    with pytest.raises(PluginError, match=r"^no engine named unlike is installed; installed: acme, zeta$"):
        Host().load("engine", "unlike")
    with pytest.raises(
        PluginError, match=r"^no load balancer named x is installed, and no other either; `fs plugins list`"
    ):
        Host().load("load_balancer", "x")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("x = 1\nraise ValueError('first line\\nsecond')", "ValueError: first line"),
        ("assert False, 'asserted'", "AssertionError: asserted"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError: invalid syntax"),
    ],
)
def test_import_that_fails(foreign: Foreign, source: str, reason: str) -> None:
    line = failure(foreign, source)
    assert line.startswith(f"engine acme (finsight-engine-acme 1.0) can't be imported: {reason}")
    assert re.search(rf"foreign_engine_acme\.py:{len(source.splitlines())}\)$", line)


def test_incompatible_one_is_not_imported(foreign: Foreign) -> None:
    foreign.install("old", {"engine": {"acme": "old_engine"}}, {"old_engine": WORKING}, requires=["finsight-serve<0.1"])
    with pytest.raises(PluginError, match=r"^engine acme \(old\) is incompatible: needs finsight-serve<0\.1, this is"):
        Host().load("engine", "acme")
    assert foreign.imported() == set()


def test_hook_is_missing(foreign: Foreign) -> None:
    assert failure(foreign, "") == (
        "engine acme (finsight-engine-acme 1.0) implements no hook `engine` (a function of that name marked @hookimpl)"
    )


def test_hook_is_misspelt(foreign: Foreign) -> None:
    line = failure(foreign, WORKING.replace("def engine(", "def engin("))
    assert "has a hook that doesn't fit: unknown hook 'engin'" in line


def test_hook_asks_for_what_it_does_not_get(foreign: Foreign) -> None:
    line = failure(foreign, WORKING.replace("def engine(", "def engine(colour"))
    assert "has a hook that doesn't fit" in line and "{'colour'}" in line


def test_hook_raises(foreign: Foreign) -> None:
    line = failure(foreign, WORKING.replace("return Acme", "return 1 / 0"))
    assert "hook `engine` raised ZeroDivisionError: division by zero" in line and "foreign_engine_acme.py:" in line


@pytest.mark.parametrize(("value", "found"), [("None", "[]"), ("'text'", "['text']"), ("3", "[3]")])
def test_hook_returns_no_class(foreign: Foreign, value: str, found: str) -> None:
    line = failure(foreign, WORKING.replace("return Acme", f"return {value}"))
    assert line.endswith(f"hook `engine` must return one class, found {found}")


def test_class_lacks_members_of_its_role(foreign: Foreign) -> None:
    source = WORKING.replace("def launch", "def lunch").replace("    lacks =", "    lack =")
    assert failure(foreign, source).endswith("lacks lacks, launch")


def test_class_has_another_name(foreign: Foreign) -> None:
    line = failure(foreign, WORKING.replace('name = "acme"', 'name = "other"'))
    assert line.endswith("calls itself other; its entry point and its `name` must be equal")


def test_broken_plugin_does_not_take_the_others_down(foreign: Foreign) -> None:
    foreign.install_plugin("engine", "acme", "raise RuntimeError")
    foreign.install_plugin("engine", "good")
    host = Host()
    with pytest.raises(PluginError):
        host.load("engine", "acme")
    assert host.load("engine", "good").name == "good"


def test_options_are_the_plugins_own(one_of_each: Foreign) -> None:
    host = Host()
    assert host.options("engine", "acme", {"width": 3}).model_dump()["width"] == 3
    with pytest.raises(ValidationError):
        host.options("engine", "acme", {"width": 0})


def test_options_model_that_raises_is_a_plugin_error(foreign: Foreign) -> None:
    broken = (
        "    @__import__('pydantic').model_validator(mode='after')\n    def f(self):\n        raise OSError('disc')\n"
    )
    foreign.install_plugin("engine", "acme", WORKING.replace("\nclass Acme", broken + "\nclass Acme"))
    with pytest.raises(PluginError, match=r"engine acme: its options raised OSError: disc"):
        Host().options("engine", "acme", {})


def test_builds_an_instance(one_of_each: Foreign) -> None:
    env = make_env(one_of_each.folder / "state")
    engine = Host().build("engine", "acme", {"width": 3}, env)
    assert engine.served_model("m") == "m"


def test_build_refuses_bad_options_and_a_raising_constructor(foreign: Foreign) -> None:
    env = make_env(foreign.folder / "state")
    foreign.install_plugin("engine", "acme", WORKING.replace("self.options, self.env = options, env", "1 / 0"))
    host = Host()
    with pytest.raises(PluginError, match=r"^engine acme: option width: Input should be a valid integer"):
        host.build("engine", "acme", {"width": "x"}, env)
    with pytest.raises(PluginError, match=r"^engine acme can't be built: ZeroDivisionError: division by zero"):
        host.build("engine", "acme", {}, env)


def test_build_wants_the_attributes_that_instances_have(foreign: Foreign) -> None:
    source = PLUGIN.format(name="acme", kind="load_balancer", members=MEMBERS["load_balancer"])
    source = source.replace("    on_this_machine = True", "").replace('    url = "http://127.0.0.1:1"', "")
    foreign.install_plugin("load_balancer", "acme", source)
    host = Host()
    host.load("load_balancer", "acme")  # a constructor may set them
    with pytest.raises(PluginError, match=r"^load balancer acme sets no on_this_machine, url$"):
        host.build("load_balancer", "acme", {}, make_env(foreign.folder / "state"))
