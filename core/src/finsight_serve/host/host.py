"""Names to classes, classes to instances."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

from ..env import Env
from ..errors import did_you_mean
from ..plugin import ControlLoop, Engine, HealthProbe, Kind, LoadBalancer, Orchestrator
from .error import PluginError, describe
from .events import Events
from .inventory import Installed, inventory
from .loading import load_class, load_hooks, missing_members

if TYPE_CHECKING:
    from pydantic import BaseModel


class Host:
    """The installed plugins. Reads their metadata once; imports one when it is asked for by name."""

    def __init__(self) -> None:
        self._installed: tuple[Installed, ...] | None = None
        self._classes: dict[tuple[Kind, str], type[Any]] = {}

    def installed(self) -> tuple[Installed, ...]:
        """Every plugin, usable or not, ordered by kind and name. Imports none."""
        if self._installed is None:
            self._installed = inventory()
        return self._installed

    def names(self, kind: Kind) -> tuple[str, ...]:
        """The usable ones of a kind."""
        return tuple(row.name for row in self.installed() if row.kind == kind and row.usable)

    def find(self, kind: Kind, name: str) -> Installed:
        """Raises `PluginError` if it is not installed or can't be used."""
        for row in self.installed():
            if (row.kind, row.name) == (kind, name):
                if not row.usable:
                    raise PluginError(kind, name, f"{label(kind)} {name} ({row.distribution}) is {row.state}")
                return row
        raise PluginError(kind, name, self._unknown(kind, name))

    def load(self, kind: Kind, name: str) -> type[Any]:
        """The plugin's class, imported at the first call. Raises `PluginError`."""
        if (kind, name) not in self._classes:
            self._classes[kind, name] = load_class(self.find(kind, name))
        return self._classes[kind, name]

    def options(self, kind: Kind, name: str, values: Mapping[str, Any]) -> "BaseModel":
        """The plugin's own model of its options. Raises `PluginError`; for the values `pydantic.ValidationError`."""
        from pydantic import ValidationError

        model: type[BaseModel] = self.load(kind, name).Options
        try:
            return model.model_validate_json(json.dumps(values))  # so that lists do for tuples, and text for paths
        except ValidationError:
            raise
        except Exception as error:
            raise PluginError(kind, name, f"{label(kind)} {name}: its options raised {describe(error)}") from error

    @overload
    def build(self, kind: Literal["orchestrator"], name: str, options: Mapping[str, Any], env: Env) -> Orchestrator: ...
    @overload
    def build(
        self, kind: Literal["load_balancer"], name: str, options: Mapping[str, Any], env: Env
    ) -> LoadBalancer: ...
    @overload
    def build(self, kind: Literal["health_probe"], name: str, options: Mapping[str, Any], env: Env) -> HealthProbe: ...
    @overload
    def build(self, kind: Literal["engine"], name: str, options: Mapping[str, Any], env: Env) -> Engine: ...

    def build(self, kind: Kind, name: str, options: Mapping[str, Any], env: Env) -> Any:
        """An instance. Raises `PluginError`, also for options that the plugin refuses."""
        from pydantic import ValidationError

        plugin = self.load(kind, name)
        try:
            instance = plugin(self.options(kind, name, options), env)
        except PluginError:
            raise
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise PluginError(kind, name, f"{label(kind)} {name}: option {field}: {first['msg']}") from error
        except Exception as error:
            raise PluginError(kind, name, f"{label(kind)} {name} can't be built: {describe(error)}") from error
        if missing := missing_members(kind, instance):
            raise PluginError(kind, name, f"{label(kind)} {name} sets no {', '.join(missing)}")
        return instance

    def control_loop(self, name: str) -> ControlLoop | None:
        """A fresh control loop of an orchestrator; None where it has none. Raises `PluginError`."""
        hook = load_hooks(self.find("orchestrator", name)).control_loop
        if not hook.get_hookimpls():
            return None
        try:
            (found,) = hook()
            loop: ControlLoop = found()
        except Exception as error:
            raise PluginError(
                "orchestrator", name, f"orchestrator {name}: its control loop can't be built: {describe(error)}"
            ) from error
        missing = [member for member in ("period_s", "step") if not hasattr(loop, member)]
        if missing:
            raise PluginError("orchestrator", name, f"orchestrator {name}: its control loop lacks {', '.join(missing)}")
        return loop

    def events(self, report: Callable[[str], None]) -> Events:
        """Every installed `events` plugin. What can't be loaded, or raises later, becomes a line to `report`."""
        hooks = {}
        for row in self.installed():
            if row.kind == "events":
                try:
                    hooks[row.name] = load_hooks(self.find(row.kind, row.name))
                except PluginError as error:
                    report(str(error))
        return Events(hooks, report)

    def _unknown(self, kind: Kind, name: str) -> str:
        names = self.names(kind)
        if not names:
            return f"no {label(kind)} named {name} is installed, and no other either; `fs plugins list` shows what is"
        return f"no {label(kind)} named {name} is installed; installed: {', '.join(names)}{did_you_mean(name, names)}"


def label(kind: Kind) -> str:
    """A kind in words: "load balancer"."""
    return kind.replace("_", " ")
