"""Searches a policy's coupled numbers on some days and judges what it finds on others."""

import math
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ..domain import AutoscalingPolicy
from ..errors import UserError
from .knobs import Knob, knobs, turned, values
from .limits import Objective

if TYPE_CHECKING:
    import optuna

Score = Mapping[str, float]
Evaluate = Callable[[AutoscalingPolicy], Score]
"""Runs a policy over days and gives its metrics, smaller being better; the same policy gives the same metrics."""


@dataclass(frozen=True)
class Candidate:
    policy: AutoscalingPolicy
    training: Score
    validation: Score
    changes: Mapping[str, tuple[float, float]]  # knob → before and after, where they differ


@dataclass(frozen=True)
class Tuned:
    start: Candidate
    front: tuple[Candidate, ...]  # none of them is worse than another in both axes; ordered by the objective's metric
    chosen: Candidate
    axes: tuple[str, str]


def tune(
    policy: AutoscalingPolicy,
    objective: Objective,
    *,
    train: Evaluate,
    validate: Evaluate,
    max_concurrency: int,
    against: str,
    trials: int,
    seed: int,
    report: Callable[[str], None],
    keep: Sequence[str] = (),
) -> Tuned:
    """Deterministic: one policy, one seed, one answer. `train` decides; `validate` is asked about the front alone.

    `keep`: fields to leave as they are, as "upscale_delay_s" or "schedule.*.min_replicas".
    The front lies between the objective's metric and that of its first limit, or `against` where it has none.
    Raises `UserError` where Optuna is not installed, or nothing is left to turn.
    """
    turning = kept_out(knobs(policy, max_concurrency=max_concurrency), keep)
    axes = (
        objective.metric,
        next((limit.metric for limit in objective.limits if limit.metric != objective.metric), against),
    )
    tried = _search(policy, turning, objective, axes, train, trials, seed, report)
    front = pareto(tried, axes)
    chosen = min(front, key=lambda found: objective.order(tried[found]))
    report(f"judging {len(front)} policies on the other days")
    candidates = {
        found: Candidate(found, tried[found], validate(found), _changes(policy, found, turning))
        for found in sorted({*front, policy}, key=lambda found: (tried[found][axes[0]], tried[found][axes[1]]))
    }
    return Tuned(
        candidates[policy],
        tuple(candidate for found, candidate in candidates.items() if found in front),
        candidates[chosen],
        axes,
    )


def kept_out(turning: Sequence[Knob], keep: Sequence[str]) -> tuple[Knob, ...]:
    """The knobs without those kept. Raises `UserError` for a name that is none."""
    for pattern in keep:
        if not any(fnmatchcase(knob.name, pattern) for knob in turning):
            raise UserError(
                f"--keep {pattern}: no such number is turned; there are {', '.join(k.name for k in turning)}"
            )
    left = tuple(knob for knob in turning if not any(fnmatchcase(knob.name, pattern) for pattern in keep))
    if not left:
        raise UserError("--keep leaves nothing to turn")
    return left


def pareto(scores: Mapping[AutoscalingPolicy, Score], axes: tuple[str, str]) -> tuple[AutoscalingPolicy, ...]:
    """Those that no other one beats: cheapest first. Of several with the same scores, the first tried."""
    front: list[AutoscalingPolicy] = []
    least = float("inf")
    for policy in sorted(scores, key=lambda policy: (scores[policy][axes[0]], scores[policy][axes[1]])):
        if scores[policy][axes[1]] < least:
            least = scores[policy][axes[1]]
            front.append(policy)
    return tuple(front)


def _search(
    policy: AutoscalingPolicy,
    turning: Sequence[Knob],
    objective: Objective,
    axes: tuple[str, str],
    evaluate: Evaluate,
    trials: int,
    seed: int,
    report: Callable[[str], None],
) -> dict[AutoscalingPolicy, Score]:
    """Every policy tried and its score, the given one first."""
    try:
        import optuna
    except ImportError:
        raise UserError("tuning needs Optuna: pip install 'finsight-serve[lab]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=max(10, trials // 8))
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    tried = {policy: evaluate(policy)}
    best = policy

    def one(trial: optuna.Trial) -> tuple[float, float]:
        nonlocal best
        found = turned(policy, {knob.name: _suggest(trial, knob) for knob in turning})
        if found not in tried:
            tried[found] = evaluate(found)
        score = tried[found]
        trial.set_constraint("limits", objective.order(score)[0])
        if objective.order(score) < objective.order(tried[best]):
            best = found
            report(f"trial {trial.number + 1} of {trials}: {_say(score, axes)}")
        elif (trial.number + 1) % 50 == 0:
            report(f"trial {trial.number + 1} of {trials}; the best so far: {_say(tried[best], axes)}")
        return score[axes[0]], score[axes[1]]

    report(f"as it is: {_say(tried[policy], axes)}")
    rng = random.Random(seed)
    for number in range(trials):
        if number % 2 == 0:  # every other trial is a neighbour of the best: the sampler alone is slow to close in
            study.enqueue_trial(_neighbour(best, turning, rng) if number else _settings(policy, turning))
        study.optimize(one, n_trials=1)
    return tried


def _settings(policy: AutoscalingPolicy, turning: Sequence[Knob]) -> dict[str, float]:
    return {knob.name: _within(knob, values(policy, knob)) for knob in turning}


def _neighbour(policy: AutoscalingPolicy, turning: Sequence[Knob], rng: random.Random) -> dict[str, float]:
    """One to three knobs turned a little."""
    found = _settings(policy, turning)
    for knob in rng.sample(turning, min(rng.randint(1, 3), len(turning))):
        far = max(found[knob.name], knob.step or 0.0) * rng.uniform(-0.3, 0.3)
        step = math.copysign(max(abs(far), knob.step or 0.0), far)
        found[knob.name] = _within(knob, found[knob.name] + step)
    return found


def _suggest(trial: "optuna.Trial", knob: Knob) -> float:
    return trial.suggest_float(knob.name, knob.low, knob.high, step=knob.step, log=knob.step is None)


def _within(knob: Knob, value: float) -> float:
    """The nearest number that the knob allows."""
    value = min(max(value, knob.low), knob.high)
    return value if knob.step is None else knob.low + round((value - knob.low) / knob.step) * knob.step


def _changes(
    before: AutoscalingPolicy, after: AutoscalingPolicy, turning: Sequence[Knob]
) -> Mapping[str, tuple[float, float]]:
    pairs = {knob.name: (values(before, knob), values(after, knob)) for knob in turning}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _say(score: Score, axes: tuple[str, str]) -> str:
    return ", ".join(f"{axis} {score[axis]:.4g}" for axis in axes)
