"""The one way from a file to a `Stack`: everything wrong with the file is found in one go."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path as File
from typing import Any

from pydantic import ValidationError

from ..errors import did_you_mean
from ..host import Host, PluginError, label
from ..plugin import Feature, Kind
from ..replica_guard import MOST_KEYS
from .defaults import candidates
from .document import Document, read_document
from .model import BackendEntry, PluginEntry, StackFile, entry_schema
from .policies import validate
from .problem import Path, StackErrors, StackProblem
from .python_policies import PolicyModules
from .references import expand
from .values import Deployment, MetricsEndpoint, PluginRef, Stack, Tenant
from .wording import explain, suggest

COMMAND_LINE: Path = ("--backend",)


def load_stack(
    path: File, host: Host, *, backend: str | None = None, overrides: Mapping[str, Any] | None = None
) -> Stack:
    """Reads and validates `path`; the plugins that it names are imported for their options, and the Python modules of
    its policies in processes of their own.

    `backend` takes the place of the file's default backend. `overrides` puts values at dotted paths
    (`backends.east.address`). Raises `StackErrors` with every problem; changes nothing.
    """
    document = read_document(path).replaced(overrides or {})
    document = expand(document, PolicyModules(path.parent))
    document = replace(document, marks={**document.marks, COMMAND_LINE: None})
    problems = list(document.problems)
    model: StackFile | None = None
    try:
        model = StackFile.model_validate_json(json.dumps(document.data))
    except ValidationError as error:
        found = explain(error, entry_schema(), document.data)
        explained = [document.problem(place, message) for place, message in found]
        unread = {problem.field for problem in problems}  # the model only sees a gap there
        problems += [problem for problem in explained if problem.field not in unread]
    problems += _schedule_problems(document)
    problems += _name_problems(document)
    plugins = _Plugins(document, host, backend)
    plugins.resolve()
    problems += plugins.problems
    if problems or model is None:
        raise StackErrors(problems)
    return _assemble(model, plugins)


def _assemble(model: StackFile, plugins: "_Plugins") -> Stack:
    deployments = tuple(
        Deployment(
            entry.name,
            entry.model,
            plugins.engines[index],
            plugins.backend_of[index],
            entry.policy,
            entry.max_ongoing_requests,
        )
        for index, entry in enumerate(model.deployments)
    )
    tenants = tuple(Tenant(**entry.model_dump()) for entry in model.tenants)
    return Stack(
        name=model.name,
        backends={name: plugins.backends[name] for name in dict.fromkeys(plugins.backend_of.values())},
        load_balancer=plugins.single["load_balancer"],
        probe=plugins.single["probe"],
        health=model.health,
        deployments=deployments,
        tenants=tenants or (Tenant("default", deployments[0].name),),
        breaker=model.breaker,
        edge=plugins.single.get("edge"),
        metrics=MetricsEndpoint(model.metrics.listen, model.metrics.runbooks, model.metrics.prometheus),
    )


def _name_problems(document: Document) -> Iterator[StackProblem]:
    deployments = [name for _, name in _texts(document, "deployments", "name")]
    for section in ("deployments", "tenants"):
        seen: dict[str, Path] = {}
        for path, name in _texts(document, section, "name"):
            if name in seen:
                mark = document.marks.get(seen[name])
                where = f", first in line {mark.line}" if mark else ""
                yield document.problem(path, f"two {section} are named {name}{where}")
            seen.setdefault(name, path)
    for path, name in _texts(document, "tenants", "deployment"):
        if name not in deployments:
            yield document.problem(path, f"no deployment is named {name}{suggest(name, deployments)}")


def _schedule_problems(document: Document) -> Iterator[StackProblem]:
    for index in _indices(document, "deployments"):
        path: Path = ("deployments", index, "policy")
        policy, found = validate(document.get(*path) or {})
        if policy is not None:  # otherwise the model has complained of it
            yield from (document.problem((*path, *place), message) for place, message in found)


def _texts(document: Document, section: str, key: str) -> Iterator[tuple[Path, str]]:
    """Every text under `key` in a list of mappings."""
    for index in _indices(document, section):
        value = document.get(section, index, key)
        if isinstance(value, str):
            yield (section, index, key), value


def _indices(document: Document, section: str) -> Iterable[int]:
    entries = document.get(section)
    return [i for i, entry in enumerate(entries) if isinstance(entry, dict)] if isinstance(entries, list) else []


class _Plugins:
    """Every plugin that the file names, checked. Works on the raw data, so that one error does not hide another;
    what has the wrong shape is passed over, as the model has complained of it."""

    def __init__(self, document: Document, host: Host, backend: str | None) -> None:
        self.problems: list[StackProblem] = []
        self.single: dict[str, PluginRef] = {}  # by the file's key: load balancer, edge and probe
        self.backends: dict[str, PluginRef] = {}
        self.engines: dict[int, PluginRef] = {}  # by the deployment's index
        self.backend_of: dict[int, str] = {}
        self._document = document
        self._host = host
        self._chosen = backend

    def resolve(self) -> None:
        self._resolve_single("load_balancer", "load_balancer")
        if self._document.get("edge") is not None:
            self._resolve_single("load_balancer", "edge")
        self._check_keys()
        self._resolve_single("health_probe", "probe")
        self._resolve_backends()
        for index in _indices(self._document, "deployments"):
            self._resolve_engine(index)
            self._resolve_backend(index)

    def _resolve_single(self, kind: Kind, key: str) -> None:
        written = self._document.get(key)
        name: Any = written
        options: dict[str, Any] = {}
        name_path: Path = (key,)
        if isinstance(written, dict):
            name_path = (key, PluginEntry.selector)
            name, options = _split(written, PluginEntry.selector)
        elif written is None:
            name = self._only(kind, name_path)
        if isinstance(name, str) and (ref := self._check(kind, name, name_path, options, (key,), PluginEntry.selector)):
            self.single[key] = ref

    def _check_keys(self) -> None:
        """Somebody has to know the tenants' keys: the load balancer, or else the edge before it."""
        balancer, edge = self.single.get("load_balancer"), self.single.get("edge")
        if balancer is None:
            return
        lacks = self._lacks_keys(balancer.plugin)
        if edge is None:
            if lacks is not None and self._document.get("edge") is None:
                able = [name for name in self._host.names("load_balancer") if self._lacks_keys(name) is None]
                mend = f"add `edge: {able[0]}`" if able else "add as `edge` a load balancer that has"
                self._report(("load_balancer",), f"{balancer.plugin} has no API keys ({lacks}): {mend}")
        elif lacks is None:
            self._report(
                ("edge",), f"{balancer.plugin} has API keys itself and needs nothing before it: leave this out"
            )
        elif (why := self._lacks_keys(edge.plugin)) is not None:
            self._report(("edge",), f"{edge.plugin} has no API keys either ({why})")
        elif len(deployments := list(_indices(self._document, "deployments"))) > MOST_KEYS:
            self._report(("edge",), f"brings the keys of at most {MOST_KEYS} deployments, found {len(deployments)}")

    def _lacks_keys(self, plugin: str) -> str | None:
        """Why a load balancer has no API keys; None where it has them."""
        try:
            reason: str | None = self._host.load("load_balancer", plugin).lacks.get(Feature.KEYS)
        except PluginError as error:
            return str(error)
        return reason

    def _resolve_backends(self) -> None:
        written = self._document.get("backends")
        for key, entry in written.items() if isinstance(written, dict) else ():
            if isinstance(entry, dict):
                name, options = _split(entry, BackendEntry.selector)
                path: Path = ("backends", key)
                name_path = (*path, BackendEntry.selector) if name is not None else path
                plugin = key if name is None else name
                if isinstance(plugin, str) and (
                    ref := self._check("orchestrator", plugin, name_path, options, path, BackendEntry.selector)
                ):
                    self.backends[key] = ref

    def _resolve_engine(self, index: int) -> None:
        path: Path = ("deployments", index)
        name = self._document.get(*path, "engine")
        options = self._document.get(*path, "engine_options")
        if name is None:
            name = self._only("engine", (*path, "engine"))
        if isinstance(name, str) and isinstance(options, dict | None):
            ref = self._check("engine", name, (*path, "engine"), options or {}, (*path, "engine_options"), None)
            if ref:
                self.engines[index] = ref

    def _resolve_backend(self, index: int) -> None:
        path: Path = ("deployments", index, "backend")
        name = self._document.get(*path)
        if name is None and self._chosen is not None:
            name, path = self._chosen, COMMAND_LINE
        elif name is None:
            path = ("backend",)
            name = self._document.get(*path)
            if name is None:
                name = self._only("orchestrator", path)
        if not isinstance(name, str):
            return
        self.backend_of[index] = name
        configured = self._document.get("backends")
        names = list(configured) if isinstance(configured, dict) else []
        if name in names or name in self.backends:
            return
        if name in {row.name for row in self._host.installed() if row.kind == "orchestrator"}:
            # an orchestrator's name alone means its default instance
            if ref := self._check("orchestrator", name, path, {}, path, None):
                self.backends[name] = ref
            return
        known = sorted({*names, *self._host.names("orchestrator")})
        message = f"no backend named {name}; configured or installed: {', '.join(known) or 'none'}"
        self._report(path, message + did_you_mean(name, known))

    def _only(self, kind: Kind, path: Path) -> str | None:
        """The one plugin of a kind; where there are several, the file has to say which."""
        names = candidates(self._host, kind)
        if len(names) == 1:
            return names[0]
        what = label(kind)
        if names:
            self._report(path, f"say which {what}: several are installed ({', '.join(names)})")
        else:
            self._report(path, f"no {what} is installed; `fs plugins list` shows what is")
        return None

    def _check(
        self, kind: Kind, name: str, name_path: Path, options: Mapping[str, Any], path: Path, selector: str | None
    ) -> PluginRef | None:
        try:
            self._host.options(kind, name, options)
        except PluginError as error:
            self._report(name_path, str(error))
            return None
        except ValidationError as error:
            schema = self._host.load(kind, name).Options.model_json_schema()
            if selector:
                schema = {**schema, "properties": {selector: {}, **schema.get("properties", {})}}
            for place, message in explain(error, schema, options):
                self._report((*path, *place), message)
            return None
        return PluginRef(name, options)

    def _report(self, path: Path, message: str) -> None:
        self.problems.append(self._document.problem(path, message))


def _split(entry: Mapping[str, Any], selector: str) -> tuple[Any, dict[str, Any]]:
    """An inline entry into the plugin's name and its options."""
    return entry.get(selector), {key: value for key, value in entry.items() if key != selector}
