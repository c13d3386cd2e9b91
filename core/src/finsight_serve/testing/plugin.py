"""What every plugin must fulfil, and what every actuator's compile() must."""

import json
import re
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from ..env import Env
from ..plugin import Actuator, Feature, Problem
from .real_env import make_env


class PluginConformance:
    """The checks that ask nothing of the machine. `plugin` must be overridden, `options` may."""

    @pytest.fixture
    def plugin(self) -> type[Any]:
        """The plugin's class."""
        raise NotImplementedError("override the fixture `plugin`: it returns the plugin's class")

    @pytest.fixture
    def options(self) -> Mapping[str, Any]:
        """What a user would write beside the plugin's name in fs.yaml."""
        return {}

    @pytest.fixture
    def env(self, tmp_path: Path) -> Env:
        return make_env(tmp_path / "state")

    @pytest.fixture
    def deadline_s(self) -> float:
        """How long a replica of the kit's trivial engine may take to be ready, or to be gone."""
        return 30.0

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    def make(self, plugin: type[Any], options: Mapping[str, Any], env: Env) -> Any:
        """An instance, its options read as from fs.yaml."""
        return plugin(plugin.Options.model_validate_json(json.dumps(dict(options))), env)

    def skip_if_lacking(self, plugin: type[Any], feature: Feature) -> None:
        if feature in plugin.lacks:
            pytest.skip(f"{plugin.name} lacks {feature.value}: {plugin.lacks[feature]}")

    def test_name_is_a_word(self, plugin: type[Any]) -> None:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", plugin.name)

    def test_lacks_says_why(self, plugin: type[Any]) -> None:
        for feature, why in plugin.lacks.items():
            assert isinstance(feature, Feature)
            assert len(why.split()) > 2, f"{feature.value}: a reason, please, not {why!r}"

    def test_options_are_documented_and_strict(self, plugin: type[Any]) -> None:
        assert issubclass(plugin.Options, BaseModel)
        for name, field in plugin.Options.model_fields.items():
            assert field.description, f"option {name!r} has no description"
        with pytest.raises(ValidationError, match="no_such_option"):
            plugin.Options.model_validate({"no_such_option": 1})

    def test_options_have_defaults(self, plugin: type[Any]) -> None:
        """A plugin's name alone means its default instance."""
        plugin.Options()

    def test_check_names_problems_and_changes_nothing(
        self, plugin: type[Any], options: Mapping[str, Any], env: Env
    ) -> None:
        before = _list(env.state_dir)
        for problem in self.make(plugin, options, env).check():
            assert isinstance(problem, Problem) and problem.message and problem.fix
        assert _list(env.state_dir) == before


class ActuatorConformance(PluginConformance):
    @pytest.fixture
    def wants(self) -> tuple[Any, ...]:
        """Some whole wants, among them the empty one."""
        raise NotImplementedError

    @pytest.fixture
    def secrets(self) -> tuple[str, ...]:
        """What of `wants` may appear in secret artefacts only."""
        raise NotImplementedError

    @pytest.fixture
    def compiled(self, plugin: type[Any], options: Mapping[str, Any], env: Env) -> Actuator[Any]:
        """An instance that is compiled with, never applied."""
        made: Actuator[Any] = self.make(plugin, options, env)
        return made

    def test_compile_is_pure(
        self,
        plugin: type[Any],
        options: Mapping[str, Any],
        env: Env,
        wants: tuple[Any, ...],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The same want gives the same plan, in any instance, without the machine and without leaving a trace."""
        first, second = self.make(plugin, options, env), self.make(plugin, options, env)
        before = _list(env.state_dir)
        monkeypatch.setattr(subprocess, "Popen", _refuse)
        monkeypatch.setattr(socket, "create_connection", _refuse)
        monkeypatch.setattr(socket.socket, "connect", _refuse)
        monkeypatch.setattr(socket.socket, "bind", _refuse)
        plans = [first.compile(want) for want in wants]
        assert [first.compile(want) for want in reversed(wants)] == plans[::-1], "depends on what was compiled before"
        assert [second.compile(want) for want in wants] == plans, "depends on the instance"
        monkeypatch.undo()
        assert _list(env.state_dir) == before

    def test_artefacts_are_text_or_json(self, compiled: Actuator[Any], wants: tuple[Any, ...]) -> None:
        for want in wants:
            artefacts = compiled.compile(want).artefacts
            for artefact in artefacts:
                assert json.loads(json.dumps(artefact.body)) == artefact.body, (
                    f"{artefact.name} is neither text nor JSON"
                )
            names = [artefact.name for artefact in artefacts]
            assert len(set(names)) == len(names), "two artefacts have one name"

    def test_secrets_are_in_secret_artefacts_only(
        self, compiled: Actuator[Any], wants: tuple[Any, ...], secrets: tuple[str, ...]
    ) -> None:
        for want in wants:
            for artefact in compiled.compile(want).artefacts:
                found = [secret for secret in secrets if secret in json.dumps([artefact.name, artefact.body])]
                assert artefact.secret or not found, f"{artefact.name} shows a secret"


def _list(folder: Path) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_mtime_ns) for path in folder.rglob("*")}


def _refuse(*args: object, **kwargs: object) -> None:
    raise AssertionError("compile() must not reach for the machine")
