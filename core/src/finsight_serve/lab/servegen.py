"""Arrivals drawn from ServeGen's client rates: per client and window of 600 s a rate and a shape of the gaps between.

Scaled to another rate a client keeps its daily curve and its burstiness: the gaps are drawn in the client's own time,
in which one request comes per unit, and the rates say how fast that time passes. The count is exact.
"""

from collections.abc import Sequence
from math import gamma
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .extra import load
from .trace import DAY_S, Trace, spans_of

if TYPE_CHECKING:
    from .trace import Array

COLUMNS = ("client", "t_s", "rate_rps", "cv", "iat_dist", "p1", "p2")
WINDOW_S = 600.0


def draw(
    path: Path,
    days: Sequence[int] | None,
    clients: Sequence[int] | None,
    per_client_per_day: float | None,
    seed: int,
    max_requests: int,
) -> Trace:
    """`per_client_per_day`: mean over the days, of each client; the recorded rates unless given. Raises `UserError`."""
    import numpy as np

    rates = _read(path)
    last = int(rates.t_s.max() // DAY_S)
    chosen = sorted(set(range(last + 1) if days is None else days))
    for day in chosen:
        if not 0 <= day <= last:
            raise UserError(f"{path}: has no day {day}; there are days 0 to {last}")
    rates = rates[(rates.t_s // DAY_S).isin(chosen)]
    names = sorted(rates.client.unique()) if clients is None else list(dict.fromkeys(clients))
    counts = {}
    for name in names:
        expected = float(rates.rate_rps[rates.client == name].sum() * WINDOW_S)
        if not expected:
            raise UserError(f"{path}: client {name} sends nothing on the days asked for")
        counts[name] = round(expected if per_client_per_day is None else per_client_per_day * len(chosen))
    if not 1 <= sum(counts.values()) <= max_requests:
        raise UserError(f"{path}: {sum(counts.values()):,} requests; from 1 to {max_requests:,} can be simulated")
    drawn = [
        _arrivals(rates[rates.client == name], count, np.random.default_rng((seed, int(name))))
        for name, count in counts.items()
    ]
    arrival_s = np.concatenate(drawn)
    tenant = np.repeat(np.arange(len(drawn), dtype=np.int16), [len(one) for one in drawn])
    order = np.argsort(arrival_s, kind="stable")
    tenants = tuple(f"client-{name}" for name in names)
    return Trace(path.stem, arrival_s[order], 0.0, spans_of(chosen), False, tenant[order], tenants)


def _read(path: Path) -> Any:
    pandas = load("pandas")
    try:
        rates = pandas.read_csv(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from None
    for column in ("client", "t_s", "rate_rps", "p1"):
        numbers = pandas.to_numeric(rates[column], errors="coerce")
        wrong = ~(numbers >= 0)
        if wrong.any():
            line = int(wrong.to_numpy().argmax())
            raise UserError(f"{path}:{line + 2}: {column} must be a number of at least 0, found {rates[column][line]}")
        rates[column] = numbers
    rates["client"] = rates.client.astype(int)
    if not len(rates):
        raise UserError(f"{path}: has no rows")
    return rates.sort_values(["client", "t_s"], kind="stable")


def _arrivals(rates: Any, count: int, random: Any) -> "Array":
    """`count` times, ascending, float64."""
    import numpy as np

    window_s = rates.t_s.to_numpy(float)
    share = rates.rate_rps.to_numpy(float)
    own_time = np.concatenate(([0.0], np.cumsum(share / share.sum() * count)))
    # a window's end is not always the next one's start: windows without a request are left out of the file
    edges_s = np.stack((window_s, window_s + WINDOW_S), axis=1).ravel()
    own_edges = np.stack((own_time[:-1], own_time[1:]), axis=1).ravel()
    window = np.searchsorted(own_time[1:], np.arange(count) + 0.5)
    window = np.minimum(window, len(share) - 1)
    shape = np.maximum(rates.p1.to_numpy(float), 0.01)[window]
    weibull = (rates.iat_dist == "Weibull").to_numpy()[window]
    gaps = np.where(weibull, random.weibull(shape) / _weibull_mean(shape), random.standard_gamma(shape) / shape)
    came = np.cumsum(gaps)
    came *= (count - random.uniform(0, 1)) / came[-1] if count else 1.0
    return np.sort(np.interp(came, own_edges, edges_s))


def _weibull_mean(shape: "Array") -> "Array":
    import numpy as np

    distinct, place = np.unique(shape, return_inverse=True)
    return np.array([gamma(1 + 1 / one) for one in distinct])[place]
