import re
from pathlib import Path

import pytest

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.domain.breaker import BreakerRules
from finsight_serve.errors import UserError
from finsight_serve.host import Host, PluginError
from finsight_serve.stack import Stack, load_stack, template
from finsight_serve.stack.model import StackFile

from ..foreign import Foreign


def load(folder: Path, text: str) -> Stack:
    (folder / "fs.yaml").write_text(text)
    return load_stack(folder / "fs.yaml", Host())


def test_it_validates_and_says_what_was_asked_for(one_of_each: Foreign, tmp_path: Path) -> None:
    stack = load(tmp_path, template(Host(), model="some/model: with colon"))
    (deployment,) = stack.deployments
    assert (deployment.name, deployment.model) == ("chat", "some/model: with colon")
    assert deployment.policy == AutoscalingPolicy(max_replicas=4, smoothing_factor=0.5)
    assert list(stack.backends) == ["acme"]


def test_every_comment_sign_without_a_blank_can_be_taken_away(one_of_each: Foreign, tmp_path: Path) -> None:
    text = template(Host())
    uncommented = re.sub(r"(?m)^( *)#(?! )", r"\1", text)
    while re.search(r"(?m)^#  ", uncommented):  # blocks that are commented as a whole
        uncommented = re.sub(r"(?m)^( *)#(  .*)$", r"\1\2", uncommented)
    assert "period_s: 10.0" in uncommented and "#width" not in uncommented
    stack = load(tmp_path, uncommented)
    first = load(tmp_path, text)
    assert stack.deployments[0].policy == first.deployments[0].policy
    assert stack.deployments[0].engine.options == {"address": None, "width": 1, "mode": "fast", "token": None}
    assert stack.health == first.health and "half_open_percent: 10" in uncommented
    assert stack.breaker == first.breaker == BreakerRules()


def test_comments_are_the_descriptions(one_of_each: Foreign) -> None:
    comments = " ".join(line.lstrip(" #") for line in template(Host()).splitlines() if line.lstrip().startswith("#"))
    for field in StackFile.model_fields.values():
        assert " ".join((field.description or "").split()) in comments
    assert "where it listens" in comments  # a plugin's own


def test_several_installed_and_none_chosen(one_of_each: Foreign) -> None:
    one_of_each.install_plugin("orchestrator", "zeta")
    with pytest.raises(UserError, match=r"several plugins of the kind orchestrator .* --backend acme\|zeta$"):
        template(Host())
    assert "backend: zeta" in template(Host(), backend="zeta")


def test_unknown_choice(one_of_each: Foreign) -> None:
    with pytest.raises(PluginError, match=r"no engine named acne is installed; installed: acme; did you mean acme"):
        template(Host(), engine="acne")


def test_none_installed(foreign: Foreign) -> None:
    with pytest.raises(UserError, match=r"^no orchestrator is installed; `fs plugins list` shows what is$"):
        template(Host())


def test_the_example_of_a_schedule_is_one(one_of_each: Foreign, tmp_path: Path) -> None:
    text = template(Host())
    (example,) = re.findall(r"# For example: (.*)", text)
    policy = load(tmp_path, re.sub(r"#schedule: \[\]", f"schedule: {example}", text)).deployments[0].policy
    assert [window.name for window in policy.schedule] == ["market-hours"]
