"""Which plugins are installed, read from the distributions' metadata alone: nothing of a plugin is imported."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec

from .. import __version__
from ..plugin import GROUPS, Kind

CORE = "finsight-serve"


@dataclass(frozen=True)
class Installed:
    """One entry point. `state` is "installed" or what keeps it from being used."""

    kind: Kind
    name: str
    distribution: str
    version: str
    state: str

    @property
    def usable(self) -> bool:
        return self.state == "installed"


def inventory() -> tuple[Installed, ...]:
    """Every plugin on `sys.path`, ordered by kind and name."""
    rows = [row for distribution in _unshadowed(distributions()) for row in _rows(distribution)]
    count = Counter((row.kind, row.name) for row in rows)
    kinds = list(GROUPS)
    rows = [row if count[row.kind, row.name] == 1 else replace(row, state=_ambiguous(row, rows)) for row in rows]
    return tuple(sorted(rows, key=lambda row: (kinds.index(row.kind), row.name, row.distribution)))


def _unshadowed(found: Iterable[Distribution]) -> Iterator[Distribution]:
    """Those with entry points of ours, each distribution once: the first on the path wins, as it does for imports."""
    seen = set()
    for distribution in found:
        # reading this one file of each distribution keeps the listing fast where hundreds are installed
        if "[finsight_serve." not in (distribution.read_text("entry_points.txt") or ""):
            continue
        name = _canonical(distribution.name or "")
        if name and name not in seen:
            seen.add(name)
            yield distribution


def _rows(distribution: Distribution) -> Iterator[Installed]:
    state = ""
    for kind, group in GROUPS.items():
        for entry in distribution.entry_points:
            if entry.group == group:
                state = state or _compatibility(distribution)
                module = entry.module.partition(".")[0]
                missing = f"missing: module {module} not found"
                known = state if state != "installed" or find_spec(module) else missing
                yield Installed(kind, entry.name, distribution.name, distribution.version, known)


def _compatibility(distribution: Distribution) -> str:
    from packaging.requirements import InvalidRequirement, Requirement

    for line in distribution.requires or ():
        if not _canonical(line).startswith(CORE):
            continue
        try:
            needed = Requirement(line)
        except InvalidRequirement:
            return f"incompatible: its requirement {line!r} can't be read"
        applies = needed.marker is None or needed.marker.evaluate({"extra": ""})
        fits = needed.specifier.contains(__version__, prereleases=True)
        if _canonical(needed.name) == CORE and applies and not fits:
            return f"incompatible: needs {CORE}{needed.specifier}, this is {__version__}"
    return "installed"


def _ambiguous(row: Installed, rows: Sequence[Installed]) -> str:
    owners = sorted({other.distribution for other in rows if (other.kind, other.name) == (row.kind, row.name)})
    return f"ambiguous: {' and '.join(owners)} both bring it; uninstall one"


def _canonical(name: str) -> str:
    """As PEP 503 compares names. packaging has it too, in a module that costs 20 ms."""
    return re.sub(r"[-_.]+", "-", name).lower()
