"""Which plugins may be meant where the file names none."""

from ..host import Host, PluginError
from ..plugin import Feature, Kind


def candidates(host: Host, kind: Kind) -> tuple[str, ...]:
    """The usable ones of a kind. Of several load balancers, those that know API keys themselves.

    One that lacks them does nothing by itself, so installing it must not make a file ambiguous that was clear.
    """
    names = host.names(kind)
    if kind != "load_balancer" or len(names) < 2:
        return names
    return tuple(name for name in names if not _lacks_keys(host, name)) or names


def _lacks_keys(host: Host, name: str) -> bool:
    try:
        return Feature.KEYS in host.load("load_balancer", name).lacks
    except PluginError:
        return False  # whoever names it is told what is wrong with it
