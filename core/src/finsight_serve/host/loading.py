"""One entry point to one checked class."""

from inspect import get_annotations
from typing import Any, ClassVar, get_origin

import pluggy

from .. import plugin
from ..plugin import GROUPS, Kind
from .error import PluginError, describe
from .inventory import Installed

ROLES: dict[Kind, type] = {
    "orchestrator": plugin.Orchestrator,
    "load_balancer": plugin.LoadBalancer,
    "health_probe": plugin.HealthProbe,
    "engine": plugin.Engine,
}


def load_hooks(row: Installed) -> pluggy.HookRelay:
    """Imports the plugin and checks its hooks. A manager of its own per plugin: no other's hooks are in its calls."""
    manager = pluggy.PluginManager("finsight_serve")
    manager.add_hookspecs(plugin.Hooks)
    try:
        manager.register(_import(row), name=row.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise _error(row, f"has a hook that doesn't fit: {' '.join(str(error).split())}") from error
    return manager.hook


def load_class(row: Installed) -> type[Any]:
    hook = getattr(load_hooks(row), row.kind)
    if not hook.get_hookimpls():
        raise _error(row, f"implements no hook `{row.kind}` (a function of that name marked @hookimpl)")
    try:
        found = hook()
    except Exception as error:
        raise _error(row, f"hook `{row.kind}` raised {describe(error)}") from error
    if len(found) != 1 or not callable(found[0]):
        raise _error(row, f"hook `{row.kind}` must return one class, found {found!r}")
    if missing := missing_members(row.kind, found[0]):
        raise _error(row, f"lacks {', '.join(missing)}")
    if found[0].name != row.name:
        raise _error(row, f"calls itself {found[0].name}; its entry point and its `name` must be equal")
    return found[0]  # type: ignore[no-any-return]


def missing_members(kind: Kind, candidate: Any) -> list[str]:
    """What the role asks for and `candidate` lacks; of a class, only what a class can already have."""
    return [name for name in _members(ROLES[kind], of_class=callable(candidate)) if not hasattr(candidate, name)]


def _members(role: type, *, of_class: bool) -> list[str]:
    names = []
    for base in reversed(role.__mro__):
        if getattr(base, "_is_protocol", False):
            annotations = get_annotations(base)
            names += [name for name, hint in annotations.items() if not of_class or _is_class_variable(hint)]
            names += [name for name, value in vars(base).items() if callable(value) and not name.startswith("_")]
    return names


def _is_class_variable(hint: object) -> bool:
    origin: object = get_origin(hint)
    return origin is ClassVar


def _import(row: Installed) -> Any:
    # a plain ExtensionManager would import every plugin, and an instance that is falsy would come back as its class
    from stevedore.named import NamedExtensionManager

    failures: list[BaseException] = []
    try:
        manager: NamedExtensionManager[Any] = NamedExtensionManager(
            GROUPS[row.kind],
            [row.name],
            on_load_failure_callback=lambda _manager, _entry, error: failures.append(error),
            on_missing_entrypoints_callback=None,
        )
    except (AssertionError, SystemExit) as error:  # stevedore lets these through, and a plugin may raise anything
        raise _error(row, f"can't be imported: {describe(error)}") from error
    if failures:
        raise _error(row, f"can't be imported: {describe(failures[0])}") from failures[0]
    if not manager.extensions:
        raise _error(row, "can't be found any more: it was installed or removed while this ran; start again")
    return manager.extensions[0].plugin


def _error(row: Installed, message: str) -> PluginError:
    kind = row.kind.replace("_", " ")
    return PluginError(row.kind, row.name, f"{kind} {row.name} ({row.distribution} {row.version}) {message}")
