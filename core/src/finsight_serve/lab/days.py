"""A trace's days, some to search on and some to judge on; and what a policy does on them, on every backend."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..domain import AutoscalingPolicy
from ..errors import UserError
from .evidence import Loops
from .outcome import Outcome
from .service import ServiceModel
from .simulation import simulate
from .trace import DAY_S, Trace
from .tune import Evaluate, Score

COUNTS = ("shed", "oscillations", "changes")
METRICS = (
    "replica_hours",
    "replica_hours_a_day",
    "p50_wait_s",
    "p95_wait_s",
    "p99_wait_s",
    "max_wait_s",
    *COUNTS,
)


@dataclass(frozen=True)
class Days:
    train: tuple[int, ...]
    validate: tuple[int, ...]


def split_days(trace: Trace, train: Sequence[int] | None, validate: Sequence[int] | None) -> Days:
    """Every other day with requests is for training, unless said otherwise. Raises `UserError`."""
    import numpy as np

    found = np.unique((trace.arrival_s // DAY_S).astype(np.int64))
    busy = [int(day) for day in found]
    if train is None and validate is None:
        chosen = Days(tuple(busy[::2]), tuple(busy[1::2]))
    elif train is None:
        chosen = Days(tuple(day for day in busy if day not in set(validate or ())), tuple(validate or ()))
    else:
        rest = tuple(day for day in busy if day not in set(train)) if validate is None else tuple(validate)
        chosen = Days(tuple(train), rest)
    if twice := sorted(set(chosen.train) & set(chosen.validate)):
        raise UserError(
            f"day {', '.join(map(str, twice))} is both trained and judged on: give --train and --validate other days"
        )
    if not chosen.train or not chosen.validate:
        raise UserError(
            f"{trace.name}: {len(busy)} days have requests; tuning needs some to search on and others to judge on"
        )
    return chosen


def evaluator(traces: Sequence[Trace], loops: Loops, service: ServiceModel) -> Evaluate:
    """Over several draws of the same days, whose waits are taken together and whose costs are averaged.

    Of several backends the worst figure counts: one policy is to do on all of them.
    """

    def evaluate(policy: AutoscalingPolicy) -> Score:
        scores = [score([simulate(policy, trace, loop, service) for trace in traces]) for loop in loops.values()]
        return {metric: max(one[metric] for one in scores) for metric in METRICS}

    return evaluate


def score(outcomes: Sequence[Outcome]) -> Score:
    """Of one draw on average."""
    import numpy as np

    wait_s = np.concatenate([outcome.wait_s for outcome in outcomes])
    counted = wait_s[wait_s >= 0]
    p50, p95, p99, most = np.percentile(counted, (50, 95, 99, 100)).tolist() if len(counted) else (0.0,) * 4
    replica_hours = sum(outcome.replica_hours for outcome in outcomes)
    return {
        "replica_hours": replica_hours / len(outcomes),
        "replica_hours_a_day": replica_hours * 24 / sum(outcome.hours for outcome in outcomes),
        "p50_wait_s": p50,
        "p95_wait_s": p95,
        "p99_wait_s": p99,
        "max_wait_s": most,
        **{name: sum(getattr(one, name) for one in outcomes) / len(outcomes) for name in COUNTS},
    }
