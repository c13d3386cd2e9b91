"""Finds, loads and isolates plugins. stevedore turns names into objects, pluggy turns events into calls.

Listing imports no plugin, loading imports one, and a broken one is a line (`PluginError`) that never takes others down.
"""

from .environment import env_for
from .error import PluginError
from .events import Events
from .host import Host, label
from .inventory import Installed

__all__ = ["Events", "Host", "Installed", "PluginError", "env_for", "label"]
