"""How a tenant's requests are split in each phase."""

from collections.abc import Mapping

from .values import Migration


def percent(migration: Migration) -> int:
    """Of the tenant's requests, how many are moved to the destination."""
    if migration.phase == "shifting":
        return migration.rules.steps[migration.step]
    return 100 if migration.phase in ("draining", "done") else 0


def weights(migration: Migration) -> Mapping[str, int]:
    """Deployment → percent, adding up to 100, none of them 0.

    Requests keep their place as the percentage rises: the sources keep their order and none of them grows, and the
    destination stands in their midst, so that it takes from the end of one and from the beginning of the next.
    """
    moved = percent(migration)
    if not moved:
        return dict(migration.source)
    split = _apportion(migration.source, 100 - moved)
    if migration.destination not in split:
        names = list(migration.source)
        names.insert((len(names) + 1) // 2, migration.destination)
        split = {name: split.get(name, 0) for name in names}
    split[migration.destination] += moved
    return {name: share for name, share in split.items() if share}


def _apportion(shares: Mapping[str, int], total: int) -> dict[str, int]:
    """`total` in whole parts in proportion to `shares`, by Webster's method: a smaller total grows nobody's part."""
    if len(shares) == 1:
        return dict.fromkeys(shares, total)
    parts = dict.fromkeys(shares, 0)
    for _ in range(total):
        parts[max(parts, key=lambda name: shares[name] / (2 * parts[name] + 1))] += 1
    return parts
