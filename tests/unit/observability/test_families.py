"""What a scrape of the controller reads, of a state and a ledger."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from finsight_serve.controller.metrics.families import Failures
from finsight_serve.controller.state import LOAD_BALANCER, State
from finsight_serve.observability.metrics import METRICS, OUTCOMES, Metric
from finsight_serve.plugin import Artefact, Observed, Replica
from finsight_serve.stack.values import PluginRef
from finsight_serve.store.ledger import Counters

from .scraped import busy_state, counters, exposition, many, samples

GOLDEN = Path(__file__).parent / "exposition.txt"


def test_the_exposition_is_as_it_stands_in_the_file() -> None:
    failures = Failures(store=2)
    failures.apply["two"] = 3
    assert exposition(busy_state(), failures=failures) == GOLDEN.read_text(encoding="utf-8")


def test_every_family_of_the_description_is_told_of_and_no_other() -> None:
    told = {family.name: family for family in text_string_to_metric_families(exposition(busy_state()))}
    assert told.keys() == {metric.name for metric in METRICS}
    for metric in METRICS:
        family = told[metric.name]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        labels = {frozenset(sample.labels) - {"le"} for sample in family.samples}
        assert labels == {frozenset(metric.labels)}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_and_units_follow_prometheus_conventions(metric: Metric) -> None:
    name, kind = metric.name, metric.kind
    assert re.fullmatch(r"finsight(_[a-z0-9]+)+", name)
    assert not name.endswith(("_total", "_count", "_sum", "_bucket"))
    assert not re.search(r"_(ms|milliseconds|minutes|percent|bytes_mb|s)$", name), "base units"
    assert kind != "histogram" or name.endswith("_seconds")
    assert metric.help.endswith(".")


def test_the_floor_is_told_with_its_reason() -> None:
    found = samples(exposition(busy_state()))
    assert found['finsight_policy_min_replicas{deployment="chat"}'] == 1
    assert found['finsight_policy_info{deployment="chat",why="no window is open"}'] == 1
    assert found['finsight_policy_next_cut_over_timestamp_seconds{deployment="chat"}'] == 1_764_021_600  # 22:00
    assert 'finsight_policy_next_cut_over_timestamp_seconds{deployment="code"}' not in found


def test_each_outcome_of_who_is_routed_begins_at_zero() -> None:
    """`increase()` misses what a counter is born with."""
    found = samples(exposition(busy_state(), ledger=()))
    for outcome in OUTCOMES:
        assert found[f'finsight_requests_total{{deployment="chat",outcome="{outcome}",tenant="default"}}'] == 0
    assert found['finsight_requests_total{deployment="",outcome="failed",tenant="default"}'] == 0


def test_who_left_the_stack_is_told_of_no_more() -> None:
    assert '"gone"' not in exposition(busy_state())


@pytest.mark.parametrize(
    ("edge", "in_force", "condition"),
    [
        (None, ("nginx.conf",), "ok"),
        (None, (), "down"),
        (None, None, "ok"),
        ("nginx", ("edge/nginx.conf", "routes/HTTPRoute/a"), "ok"),
        ("nginx", ("routes/HTTPRoute/a",), "down"),
    ],
)
def test_a_load_balancer_with_nothing_in_force_is_down(
    edge: str | None, in_force: tuple[str, ...] | None, condition: str
) -> None:
    """Of two, one behind the other, it is the one that clients talk to."""
    state = busy_state()
    assert state.durable.stack is not None
    stack = replace(state.durable.stack, edge=PluginRef(edge) if edge else None)
    artefacts = None if in_force is None else tuple(Artefact(name, "") for name in in_force)
    seen = {**state.observed, LOAD_BALANCER: Observed(in_force=artefacts)}
    found = samples(exposition(replace(state, durable=replace(state.durable, stack=stack), observed=seen, failing={})))
    assert found[f'finsight_backend_state{{backend="load_balancer",state="{condition}"}}'] == 1


def test_buckets_add_up_to_the_count() -> None:
    found = samples(exposition(busy_state()))
    name, place = "finsight_time_to_first_token_seconds", '{deployment="chat",tenant="acme"}'
    below = [value for series, value in found.items() if series.startswith(f"{name}_bucket")]
    assert below == sorted(below) and below[-1] == found[f"{name}_count{place}"] == 8
    assert found[f"{name}_sum{place}"] == 4.5


def test_a_ledger_that_can_not_be_read_leaves_the_rest() -> None:
    found = samples(exposition(busy_state(), ledger=None))
    assert found["finsight_ledger_readable"] == 0
    assert found['finsight_replicas{deployment="chat",state="ready"}'] == 2
    assert not any(series.startswith("finsight_requests_total") for series in found)


def test_before_anything_was_served_the_version_is_told() -> None:
    found = samples(exposition(State(), ledger=()))
    assert {series.partition("{")[0] for series in found} == {
        "finsight_build_info",
        "finsight_store_failures_total",
        "finsight_ledger_readable",
    }


NAMES = st.lists(st.sampled_from([f"n{n}" for n in range(12)]), min_size=1, max_size=8, unique=True)
STATES = st.sampled_from(["starting", "ready", "draining", "failed"])


@settings(max_examples=60, deadline=None)
@given(
    NAMES,
    NAMES,
    st.lists(st.tuples(st.integers(0, 10**9), STATES), max_size=30),
    st.lists(st.tuples(st.sampled_from(["", *(f"n{n}" for n in range(20))]), st.sampled_from(["", "n1", "n2", "n9"]))),
)
def test_what_is_told_is_bounded_by_tenants_and_deployments(
    tenants: list[str], deployments: list[str], born: list[tuple[int, str]], asked: list[tuple[str, str]]
) -> None:
    """Neither replicas that come and go nor who asked in the past make it more."""
    replicas = [Replica(f"r{id}-{n}", deployments[0], f"h:{id}", state) for n, (id, state) in enumerate(born)]  # type: ignore[arg-type]
    ledger: list[Counters] = [counters(*place) for place in dict.fromkeys(asked)]
    text = exposition(many(tenants, deployments, replicas, asked), ledger)
    at_most = {"tenants": len(tenants), "deployments": len(deployments), "backends": 1}
    for family in text_string_to_metric_families(text):
        metric = next(one for one in METRICS if one.name == family.name)
        bound = eval(metric.series.replace("×", "*"), {"__builtins__": {}}, at_most)
        assert len(family.samples) <= bound, metric.name
    assert not any(replica.id in text for replica in replicas)


def test_the_worst_ledger_is_within_the_bound_too() -> None:
    """The bound is reached, so it is no idle one."""
    ledger = [counters(tenant, place) for tenant in ("a", "b", "") for place in ("x", "y", "")]
    told = text_string_to_metric_families(exposition(many(["a", "b"], ["x", "y"], []), ledger))
    (requests,) = (family for family in told if family.name == "finsight_requests")
    assert len(requests.samples) == (2 + 1) * (2 + 1) * len(OUTCOMES)
