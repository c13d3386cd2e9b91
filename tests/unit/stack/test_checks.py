from pathlib import Path

from finsight_serve.env import Env
from finsight_serve.host import Host
from finsight_serve.stack import Deployment, check_stack, load_stack
from finsight_serve.testing import make_env

from ..foreign import MEMBERS, PLUGIN, Foreign

TEXT = """\
name: small
deployments:
  - name: good
    model: m
  - name: bad
    model: lost
    engine_options:
      width: 10
"""


def check(foreign: Foreign, text: str) -> list[str]:
    def env_for(deployment: Deployment) -> Env:
        return make_env(foreign.folder.parent / "state" / deployment.name)

    file = foreign.folder.parent / "fs.yaml"
    file.write_text(text)
    host = Host()
    problems = check_stack(file, load_stack(file, host), host, env_for)
    return [str(problem).replace(f"{Path(file).parent}/", "") for problem in problems]


def test_engines_find_problems_at_the_deployments_lines(one_of_each: Foreign) -> None:
    assert check(one_of_each, TEXT) == [
        "fs.yaml:6: deployments[1].model: no model named lost; name another",
        "fs.yaml:8: deployments[1].engine_options.width: too wide; at most 9",
    ]


def test_nothing_to_complain_of(one_of_each: Foreign) -> None:
    assert check(one_of_each, TEXT.replace("lost", "m").replace("10", "9")) == []


def test_an_engine_that_cannot_be_built(one_of_each: Foreign) -> None:
    source = PLUGIN.format(name="sad", kind="engine", members=MEMBERS["engine"])
    one_of_each.install_plugin("engine", "sad", source.replace("self.options, self.env = options, env", "1 / 0"))
    text = "name: a\ndeployments:\n  - name: chat\n    model: m\n    engine: sad\n"
    (line,) = check(one_of_each, text)
    assert line.startswith("fs.yaml:5: deployments[0].engine: engine sad can't be built: ZeroDivisionError")
