"""Whatever happens, in whatever order: what must hold of every migration."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from finsight_serve.domain.figures import Figures
from finsight_serve.domain.limit import check, parse_limit
from finsight_serve.domain.migration import (
    OVER,
    Migration,
    MigrationRules,
    Situation,
    explain,
    note_version,
    pause,
    request_rollback,
    resume,
    step,
    weights,
)
from finsight_serve.domain.shadow import ShadowReport

from . import situations

STORED: TypeAdapter[Migration] = TypeAdapter(Migration)
ORDER = ("planned", "preparing", "probing", "shadowing", "shifting", "draining", "rolling_back", *sorted(OVER))
NOT_MOVED = ("planned", "preparing", "probing", "shadowing", "failed", "rolling_back", "rolled_back")
LATE = re.compile(r" in (\d+) s\b|after (\d+) s\b")
LEAST_STEPS = 100_000
EXAMPLES, LEAST_EVENTS, MOST_EVENTS = 500, 200, 300
TICK_S = 50.0

GOOD = Figures(25, ttft_p50_s=0.2, ttft_p95_s=0.5)
FIGURES = (
    None,
    GOOD,
    Figures(),
    Figures(5, ttft_p50_s=0.2, ttft_p95_s=0.5),
    Figures(5, failed=1),
    Figures(5000, truncated=2, ttft_p50_s=0.2, ttft_p95_s=0.5),
    Figures(25, ttft_p50_s=0.2, ttft_p95_s=9.0),
    Figures(25),
)
WELL = replace(situations.WELL, destination=GOOD, shadow=ShadowReport(25, ttft_p95_ratio=1.0))
WORLD: tuple[dict[str, object], ...] = (
    *({"tenant_exists": found} for found in (True, True, True, False)),
    *({"destination_exists": found} for found in (True, True, True, False)),
    *({"sources_exist": found} for found in (True, True, True, False)),
    *({"source_replicas": count} for count in (0, 1, 3)),
    *({"destination_replicas": count} for count in (None, 0, 1, 2, 3)),
    *({"destination_failing": count} for count in (0, 1)),
    *({"destination_probed": count} for count in (0, 2, 3)),
    *({"destination_ceiling": count} for count in (1, 4)),
    *({"breaker": breaker} for breaker in ("open", "half_open", "closed", "closed")),
    *({"sources_take_all": they_do} for they_do in (True, True, False)),
    {"watched_since_s": None},
    *({"is_in_force": is_so} for is_so in (True, True, False)),
    *({"destination": figures} for figures in FIGURES),
    *({"source": figures} for figures in FIGURES),
    *({"open_at_sources": count} for count in (None, 0, 3)),
    *({"open_at_destination": count} for count in (None, 0, 3)),
    {"shadow": None},
    {"shadow": ShadowReport(5, ttft_p95_ratio=1.0)},
    {"shadow": ShadowReport(30, 2, ttft_p95_ratio=1.2, other_text=3, at_temperature_0=9)},
    {"shadow": ShadowReport(30, failed=1)},
    *({"earlier_waves": state} for state in ("done", "done", "running", "broken")),
)
ALL_IS_WELL: dict[str, object] = {
    name: getattr(WELL, name) for name in WELL.__dataclass_fields__ if name != "watched_since_s"
}
Event = str | float | dict[str, object]  # an order, time that passes, or what changes in the world
EVENTS = st.sampled_from(
    [
        *([ALL_IS_WELL] * 12),
        *(["numbered"] * 12),
        *([1.0, 61.0, 61.0, 61.0, 61.0, 61.0, 61.0, 700.0] * 2),
        *["pause", "resume", "resume", "resume", "roll back", "restart"],
        *WORLD,
    ]
)
LIMITS = tuple(map(parse_limit, ("error_rate<=0.1%", "ttft_p95<=1.5x", "truncated<=1", "ttft_p50<=2s", "failed<=3")))
RULES = st.builds(
    MigrationRules,
    steps=st.sampled_from([(1, 10, 50, 100), (100,), (50, 100), (3, 33, 99, 100)]),
    hold_s=st.sampled_from([60.0, 0.0]),
    min_requests=st.sampled_from([20, 1]),
    limits=st.lists(st.sampled_from(LIMITS), max_size=3, unique=True).map(tuple),
    shadow_percent=st.sampled_from([0, 5]),
    prepare_deadline_s=st.just(900.0),
    step_deadline_s=st.just(3000.0),
    drain_deadline_s=st.just(900.0),
)
SOURCES = st.sampled_from([{"a": 100}, {"a": 50, "new": 50}, {"b": 70, "a": 30}, {"a": 34, "b": 33, "c": 33}])


@dataclass
class Run:
    """One migration after another in one world, each transition checked."""

    source: dict[str, int]
    rules: MigrationRules
    situation: Situation = WELL
    now_s: float = 1000.0
    version: int = 0
    steps: int = 0

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.migration = Migration("M1", "mike", self.source, "new", self.rules, since_s=self.now_s)

    def happens(self, event: Event) -> None:
        before = self.migration
        if isinstance(event, float):
            self.now_s += event
        elif isinstance(event, dict):
            self.situation = replace(self.situation, **event)  # type: ignore[arg-type]
        elif event == "restart":
            self.situation = replace(self.situation, watched_since_s=self.now_s)
        elif event == "numbered":
            self.version += 1
            self.migration = note_version(self.migration, self.version)
        elif self.migration.phase not in OVER:
            self.migration = self._ordered(event)
        if self.migration is not before:
            check_state(self.migration)
        self._settle()
        for later_s in (0.0, 1e7):
            blind = step(self.migration, after_a_restart(self.situation), self.now_s + later_s)
            assert blind is self.migration, "a restart with nothing seen changed it"

    def _ordered(self, order: str) -> Migration:
        if order == "resume":
            return resume(self.migration, self.now_s, self.situation.watched_since_s)
        if order == "roll back":
            return request_rollback(self.migration, "asked for", self.now_s)
        return self.migration if self.migration.phase == "rolling_back" else pause(self.migration, self.now_s)

    def _settle(self) -> None:
        for _ in range(10):
            following = step(self.migration, self.situation, self.now_s)
            self.steps += 1
            if following is self.migration:
                check_rest(following, self.situation)
                return
            check_state(following)
            check_transition(self.migration, following, self.situation, self.now_s)
            self.migration = following
        raise AssertionError(f"does not come to rest: {self.migration}")


def check_state(migration: Migration) -> None:
    split = weights(migration)
    assert sum(split.values()) == 100 and all(share > 0 for share in split.values())
    assert split.keys() <= {*migration.source, migration.destination}
    if migration.phase in NOT_MOVED:
        assert list(split.items()) == list(migration.source.items())
    if migration.phase == "failed":
        assert migration.records == ()
    if migration.phase in ("draining", "done"):
        assert split == {migration.destination: 100}
    stored = STORED.validate_json(STORED.dump_json(migration))
    assert stored == migration and list(weights(stored)) == list(split)


def check_transition(old: Migration, new: Migration, situation: Situation, now_s: float) -> None:
    assert ORDER.index(new.phase) >= ORDER.index(old.phase) or (old.phase, new.phase) == ("probing", "preparing")
    assert new.records[: len(old.records)] == old.records
    if weights(new) != weights(old):
        assert len(new.records) == len(old.records) + 1 or new.phase in OVER
    has_no_sources = not situation.sources_exist and situation.destination_exists
    if old.paused:
        assert (
            new.phase in ("failed", "rolling_back")
            or has_no_sources
            or replace(new, in_force_s=None) == replace(old, in_force_s=None)
        )
    is_further = old.phase == "shifting" and (new.phase == "draining" or new.step > old.step)
    if is_further and not has_no_sources:
        seen, rules = situation.destination, old.rules
        assert situation.is_in_force and old.records[-1].from_version > 0 and not old.paused
        assert old.in_force_s is not None and watched_s(situation, old.in_force_s, now_s) >= rules.hold_s
        assert seen is not None and seen.requests >= rules.min_requests
        assert situation.breaker == "closed" and situation.destination_replicas
        assert all(
            check(limit, seen, None, rules.min_requests).verdict == "ok" for limit in rules.limits if not limit.relative
        )
    if situation.watched_since_s is None and not has_no_sources:
        is_held = new.phase == old.phase and weights(new) == weights(old)
        assert is_held or new.phase in ("preparing", "failed", "rolling_back", "rolled_back")
    if late := LATE.search(new.reason.replace(old.reason, "")):
        assert watched_s(situation, old.since_s, now_s) >= float(late[1] or late[2])
    if new.phase == "shifting" and old.phase not in ("shifting", "shadowing"):
        assert situation.breaker == "closed"
        assert situation.destination_probed >= (situation.destination_replicas or 0) > 0


def watched_s(situation: Situation, since_s: float, now_s: float) -> float:
    return -1.0 if situation.watched_since_s is None else now_s - max(since_s, situation.watched_since_s)


def after_a_restart(situation: Situation) -> Situation:
    """What a controller that starts anew can say of the world before it has looked at anything."""
    return Situation(
        situation.tenant_exists,
        situation.destination_exists,
        situation.sources_exist,
        watched_since_s=None,
        breaker=situation.breaker,
        sources_take_all=situation.sources_take_all,
        earlier_waves=situation.earlier_waves,
    )


def check_rest(migration: Migration, situation: Situation) -> None:
    """Where it was moved, or is being moved, there is a deployment if there is one at all."""
    if migration.phase in ("shifting", "draining", "rolling_back") and situation.destination_exists:
        assert situation.sources_exist or weights(migration) == {migration.destination: 100}


def longest_s(rules: MigrationRules) -> float:
    steps = len(rules.steps) + bool(rules.shadow_percent)
    return rules.prepare_deadline_s + steps * rules.step_deadline_s + 2 * rules.drain_deadline_s


def without_end(events: list[Event]) -> Iterator[Event]:
    """The same over and over, but that nobody pauses it or starts anew for ever, that earlier waves end, as they do,
    and that the stack is up."""
    for event in cycle([*events, 1.0]):
        holds = event in ("pause", "restart", {"earlier_waves": "running"}, {"watched_since_s": None})
        yield 1.0 if holds else event


def test_whatever_happens_in_whatever_order() -> None:
    steps = []

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(SOURCES, RULES, st.lists(EVENTS, min_size=LEAST_EVENTS, max_size=MOST_EVENTS))
    def holds(source: dict[str, int], rules: MigrationRules, events: list[Event]) -> None:
        run = Run(source, rules)
        for event in events:
            run.happens(event)
            if run.migration.phase in OVER:
                run.begin()
        steps.append(run.steps)

    holds()
    assert sum(steps) >= LEAST_STEPS


@settings(max_examples=150, deadline=None)
@given(SOURCES, RULES, st.lists(EVENTS, max_size=60), st.lists(EVENTS, max_size=20))
def test_every_migration_ends(
    source: dict[str, int], rules: MigrationRules, before: list[Event], ever: list[Event]
) -> None:
    run = Run(source, rules)
    for event in before:
        run.happens(event)
    run.happens({"earlier_waves": "done", "watched_since_s": run.now_s})
    if run.migration.phase not in OVER:
        run.happens("resume")
    last_s = run.now_s + longest_s(rules)
    for event in without_end(ever):
        if run.migration.phase in OVER:
            return
        assert run.now_s <= last_s + TICK_S + 1.0, f"goes on for ever: {explain(run.migration, None, run.now_s)}"
        run.happens(event)
        run.happens(TICK_S)


@settings(max_examples=100, deadline=None)
@given(SOURCES, RULES, st.lists(EVENTS, min_size=20, max_size=80), st.data())
def test_stopped_and_resumed_anywhere_it_ends_as_if_it_had_not_been(
    source: dict[str, int], rules: MigrationRules, events: list[Event], data: st.DataObject
) -> None:
    stopped_at = data.draw(st.integers(0, len(events)))
    whole, resumed = Run(source, rules), Run(source, rules)
    for index, event in enumerate(events):
        if index == stopped_at:
            resumed.migration = STORED.validate_json(STORED.dump_json(resumed.migration))
        whole.happens(event)
        resumed.happens(event)
    assert resumed.migration == whole.migration
    assert list(weights(resumed.migration).items()) == list(weights(whole.migration).items())


@settings(max_examples=100, deadline=None)
@given(SOURCES, RULES, st.lists(EVENTS, max_size=80))
def test_where_all_is_well_it_is_done(source: dict[str, int], rules: MigrationRules, before: list[Event]) -> None:
    """No order of good news alone leaves it hanging or takes it back."""
    run = Run(source, rules)
    for event in before:
        if event == "numbered" or isinstance(event, float):
            run.happens(event)
    while run.migration.phase not in OVER:
        for event in ("numbered", 61.0, "numbered"):
            run.happens(event)
        assert run.now_s < 1000.0 + longest_s(rules) + 80 * 700.0
    assert run.migration.phase in ("done", "rolled_back")
    if run.migration.phase == "rolled_back":
        assert " proved nothing in 50 min" in run.migration.reason  # the table got no number in time
