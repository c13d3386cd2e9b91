"""Which plugins a scratch service is made of: those that say how, asked by attribute and never by name."""

from collections.abc import Iterator

from ..errors import UserError
from ..host import Host, PluginError
from ..plugin import Kind
from .shape import Choice


def choose(host: Host, backend: str | None, *, with_head: bool) -> Choice:
    """`backend`: an orchestrator's name. Else the first that has a head of its own, or has none, as is asked.

    Raises `UserError` where there is none.
    """
    if backend is not None:
        host.find("orchestrator", backend)
        if backend not in tuple(_drilled(host, "orchestrator")):
            raise UserError(f"--backend {backend}: it says of no scratch service how it would be made; leave it out")
        orchestrator = backend
    else:
        having = [one for one in _drilled(host, "orchestrator") if has_head(host, one) == with_head]
        orchestrator = _first(having, "orchestrator" + (" with a head of its own" if with_head else ""))
    return Choice(
        orchestrator,
        _first(list(_drilled(host, "load_balancer")), "load balancer"),
        _first(list(_drilled(host, "engine")), "engine"),
    )


def has_head(host: Host, orchestrator: str) -> bool:
    return hasattr(host.load("orchestrator", orchestrator), "head")


def _drilled(host: Host, kind: Kind) -> Iterator[str]:
    for name in host.names(kind):
        try:
            plugin = host.load(kind, name)
        except PluginError:
            continue  # whoever names it is told what is wrong with it
        if hasattr(plugin, "drill_options"):
            yield name


def _first(names: list[str], what: str) -> str:
    if not names:
        raise UserError(f"no {what} is installed that a drill can make a scratch service of; `fs plugins list`")
    return names[0]
