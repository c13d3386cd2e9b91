"""A stack in which every family has something to tell, and what a scrape of it reads."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from finsight_serve.controller.facts import Applied, NotApplied, Probed, Seen, TenantKeyIssued, Unseen
from finsight_serve.controller.metrics.families import Failures, families
from finsight_serve.controller.state import LOAD_BALANCER, ReplicaLoad, State
from finsight_serve.domain import AutoscalingPolicy, ServiceLevel, WeeklyHours, Window
from finsight_serve.domain.breaker import Breaker
from finsight_serve.domain.migration import Migration
from finsight_serve.plugin import Observed, Replica
from finsight_serve.stack.values import Tenant
from finsight_serve.store.ledger import Counters

from ..controller.worlds import after, chosen, replica, seen, stack

NOW_S = 1_764_000_000.0  # a Monday, 16:00 UTC
AT_NIGHT = WeeklyHours(days=("mon",), start="22:00", end="23:00", timezone="UTC")
NIGHTLY = Window(name="night", weekly=AT_NIGHT, min_replicas=3)
POLICY = AutoscalingPolicy(max_replicas=4, slo=ServiceLevel(p99_ttft_s=2.0), schedule=(NIGHTLY,))


def busy_state() -> State:
    """`acme` is being moved from chat to code; code's backend is lost, and its breaker open."""
    two = stack(("chat", "one"), ("code", "two"))
    chat, code = two.deployments
    tenants = (Tenant("default", "chat"), Tenant("acme", "chat"))
    two = replace(two, deployments=(replace(chat, policy=POLICY), code), tenants=tenants)
    state = after(
        chosen(two),
        TenantKeyIssued("acme", "h1"),
        TenantKeyIssued("acme", "h2", 3600.0),
        seen("one", replica("1"), replica("2"), replica("3", state="starting")),
        seen("two", replica("9", "code"), replica("8", "code", "failed")),
        Probed("1", "ok", False, ReplicaLoad(running=3, waiting=1)),
        Probed("2", "refused", False, ReplicaLoad(running=2)),
        Seen(LOAD_BALANCER, Observed(open_streams={("acme", "chat"): 2, ("gone", "chat"): 1})),
        Unseen("two", "no route to host"),
        NotApplied(LOAD_BALANCER, "no certificate"),
        now_s=NOW_S,
    )
    moving = Migration("M1", "acme", {"chat": 100}, "code", phase="shifting", since_s=NOW_S - 60, step=1)
    durable = replace(
        state.durable,
        migrations={"M1": moving},
        breakers={"code": Breaker("open", NOW_S, 1, "10 in a row")},
        cut_overs_late={"chat": 1},
        cold_starts_s={"chat": (12.5, 20.0)},
        served_models={"chat": 'a "model"\\', "code": "coder"},
    )
    edge = replace(state.observed[LOAD_BALANCER], certificate_ends_s=NOW_S + 86400.0)
    observed = {**state.observed, LOAD_BALANCER: edge}
    state = replace(state, durable=durable, observed=observed, routes_in_force=1)
    return after(Applied("one", False), state=state, now_s=NOW_S)


def counters(tenant: str = "acme", deployment: str = "chat", **changes: int) -> Counters:
    whole = Counters(tenant, deployment, 7, 1, 2, 3, 0, 1, 100, 250, 4.5, (0, 0, 4, 0, 0, 0, 2, 1, 0, 0, 0, 0, 1))
    return replace(whole, **changes)


LEDGER = (counters(), counters("", ""), counters("gone"), counters("acme", "", complete=0, failed=5))


class Once(Collector):
    def __init__(self, found: Sequence[Metric]) -> None:
        self.found = found

    def collect(self) -> Sequence[Metric]:
        return self.found


def exposition(state: State, ledger: Sequence[Counters] | None = LEDGER, failures: Failures | None = None) -> str:
    registry = CollectorRegistry()
    registry.register(Once(list(families(state, ledger, failures or Failures()))))
    return generate_latest(registry).decode()


def samples(text: str) -> dict[str, float]:
    """Each series, its labels in the order of the alphabet → its value."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def many(
    tenants: Sequence[str],
    deployments: Sequence[str],
    replicas: Sequence[Replica],
    streams: Iterable[tuple[str, str]] = (),
) -> State:
    """A stack of so much, each tenant on the first deployment. `streams`: of whom one is open."""
    wide = stack(*((name, "one") for name in deployments))
    wide = replace(wide, tenants=tuple(Tenant(name, deployments[0]) for name in tenants))
    edge = Seen(LOAD_BALANCER, Observed(open_streams=dict.fromkeys(streams, 1)))
    return after(chosen(wide), seen("one", *replicas), edge, now_s=NOW_S)
