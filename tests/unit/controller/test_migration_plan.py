from dataclasses import replace

import pytest

from finsight_serve.controller import migration_plan, routing
from finsight_serve.controller.migration_plan import (
    find_migration,
    in_order,
    plan_migrations,
    refusal,
    tenants_at,
)
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.state import Durable, State
from finsight_serve.controller.tenancy import tenants
from finsight_serve.domain.migration import Migration, MigrationRules
from finsight_serve.errors import UserError
from finsight_serve.plugin import Feature
from finsight_serve.stack.values import Tenant

from .worlds import chosen, stack

RULES = MigrationRules()


def world(**changes: object) -> Durable:
    """`acme` and `beta` are at `chat`, which `new` could replace; `other` serves another model."""
    two = stack(("chat", "one"), ("new", "two"), ("other", "three"))
    two = replace(two, tenants=(Tenant("acme", "chat"), Tenant("beta", "chat")))
    durable = reduce(State(), chosen(two), 0.0).state.durable
    models = {**durable.served_models, "other": "another-model"}
    return replace(durable, **{"served_models": models, **changes})  # type: ignore[arg-type]


def plan(durable: Durable, *names: str, to: str = "new", rules: MigrationRules = RULES, **options: object):
    by_tenant = dict.fromkeys(names, rules)
    return plan_migrations(durable, names, to, by_tenant, now_s=7.0, by="ann", **options)  # type: ignore[arg-type]


def why_not(durable: Durable, *names: str, **options: object) -> str:
    with pytest.raises(UserError) as refused:
        plan(durable, *names, **options)  # type: ignore[arg-type]
    return str(refused.value)


def running(durable: Durable, id: str = "M1", tenant: str = "acme", **changes: object) -> Durable:
    migration = replace(Migration(id, tenant, {"chat": 100}, "new", RULES, phase="preparing"), **changes)  # type: ignore[arg-type]
    return replace(durable, migrations={**durable.migrations, id: migration})


def test_a_plan_says_who_goes_from_where_to_where_by_what_rules() -> None:
    (one,) = plan(world(), "acme", rules=MigrationRules(steps=(5, 100)))
    assert (one.id, one.batch, one.wave, one.phase) == ("M1", "M1", 0, "planned")
    assert (one.tenant, dict(one.source), one.destination) == ("acme", {"chat": 100}, "new")
    assert (one.rules.steps, one.asked_by, one.asked_s) == ((5, 100), "ann", 7.0)


def test_waves_have_so_many_tenants_and_one_batch() -> None:
    names = [f"t{index}" for index in range(5)]
    durable = world(added_tenants={name: Tenant(name, "chat") for name in names})
    planned = plan(durable, *names, wave_size=2)
    assert [one.wave for one in planned] == [0, 0, 1, 1, 2]
    assert {one.batch for one in planned} == {"M1"} and len({one.id for one in planned}) == 5
    assert {one.wave for one in plan(durable, *names)} == {0}


def test_numbers_go_on_from_the_highest_one_that_is_known() -> None:
    durable = running(running(world(), "M9", "gone"), "M10", "gone", phase="done")
    assert [one.id for one in plan(durable, "acme", "beta")] == ["M11", "M12"]
    assert [one.id for one in in_order(durable.migrations.values())] == ["M9", "M10"]


def test_a_tenant_that_was_moved_starts_from_where_it_is() -> None:
    durable = world(assignments={"acme": {"chat": 60, "new": 40}})
    (one,) = plan(durable, "acme")
    assert dict(one.source) == {"chat": 60, "new": 40}


def test_a_backend_stands_for_its_one_deployment_of_the_tenants_model() -> None:
    assert plan(world(), "acme", to="two")[0].destination == "new"


def test_a_deployment_goes_before_a_backend_of_the_same_name() -> None:
    same = stack(("chat", "one"), ("one", "two"))
    durable = reduce(State(), chosen(replace(same, tenants=(Tenant("acme", "chat"),))), 0.0).state.durable
    assert plan(durable, "acme", to="one")[0].destination == "one"


def test_a_backend_without_a_fitting_deployment_says_what_to_write() -> None:
    entry = "`- {name: chat-three, model: a-model, engine: an-engine, backend: three}`"
    assert why_not(world(), "acme", to="three") == (
        f"--to three: no deployment on backend three serves a-model; add one to fs.yaml: {entry} and run `fs serve`"
    )
    assert why_not(world(), "acme", to="ray", backends=("ray",)).startswith("--to ray: no deployment on backend ray ")


def test_a_backend_with_several_asks_for_a_name() -> None:
    three = stack(("chat", "one"), ("new", "two"), ("newer", "two"))
    durable = reduce(State(), chosen(replace(three, tenants=(Tenant("acme", "chat"),))), 0.0).state.durable
    assert why_not(durable, "acme", to="two") == (
        "--to two: several deployments on it serve a-model; name one: new, newer"
    )


@pytest.mark.parametrize(
    ("names", "options", "why"),
    [
        ((), {}, "name a tenant"),
        (("acne",), {}, "tenant acne: not in this stack; it has acme, beta; did you mean acme?"),
        (("acme", "beta", "acme"), {}, "tenant acme: named 2 times; once is enough"),
        (("acme",), {"to": "chat"}, "tenant acme: all its requests go to chat already"),
        (("acme",), {"to": "one"}, "tenant acme: all its requests go to chat already"),
        (("acme",), {"to": "neww"}, "--to neww: no deployment or backend; deployments chat, new, other; "
         "backends one, three, two; did you mean new?"),
        (("acme",), {"to": "other"}, "its clients ask for a-model, and other serves another-model: they would get 404"),
        (("acme",), {"rules": MigrationRules(steps=(10, 10, 100))}, "--steps: must rise"),
        (("acme",), {"rules": MigrationRules(steps=(1, 50))}, "--steps: must end at 100"),
        (("acme",), {"rules": MigrationRules(hold_s=-1.0)}, "--hold: must be"),
        (("acme",), {"rules": MigrationRules(drain_deadline_s=0.0)}, "--drain-deadline: must be"),
        (("acme",), {"rules": MigrationRules(shadow_percent=5), "balancer_lacks": {Feature.SHADOW: "no mirror"}},
         "--shadow: the load balancer can't copy requests: no mirror; leave it out"),
    ],
)  # fmt: skip
def test_what_is_refused(names: tuple[str, ...], options: dict[str, object], why: str) -> None:
    line = why_not(world(), *names, **options)
    assert why in line and "\n" not in line


def test_a_tenant_that_is_being_moved_is_refused_with_the_number() -> None:
    assert "by M1; see `fs migrate status M1`" in why_not(running(world()), "acme")
    assert plan(running(world(), phase="rolled_back"), "acme")


def test_a_tenant_without_a_deployment_is_refused() -> None:
    durable = world(added_tenants={"lost": Tenant("lost", "gone")})
    assert why_not(durable, "lost") == (
        "tenant lost: it is at no deployment of this stack, so there is nothing to move"
    )


def test_every_mistake_is_told_at_once_and_of_many_only_some() -> None:
    assert len(why_not(world(), "acne", "bet").splitlines()) == 2
    lines = why_not(world(), *(f"x{index}" for index in range(50))).splitlines()
    assert len(lines) == 11 and lines[-1] == "and 40 more like these"


def test_nothing_was_served() -> None:
    assert "fs serve" in why_not(Durable(), "acme")


def test_all_tenants_of_a_deployment() -> None:
    durable = world(assignments={"beta": {"new": 100}}, added_tenants={"carl": Tenant("carl", "chat")})
    assert tenants_at(durable, "chat") == ("acme", "carl")
    assert tenants_at(durable, "new") == ("beta",)
    with pytest.raises(UserError, match="deployment other: no tenant is there"):
        tenants_at(durable, "other")
    with pytest.raises(UserError, match=r"deployment othre: not in this stack; .* did you mean other"):
        tenants_at(durable, "othre")


def test_what_has_changed_since_the_plan_is_refused() -> None:
    (one,) = plan(world(), "acme")
    assert refusal(world(), [one]) == ""
    assert "is being migrated already" in refusal(running(world(), "M7"), [one])
    assert "has this number" in refusal(running(world(), tenant="beta"), [one])
    assert "all its requests go to new" in refusal(world(assignments={"acme": {"new": 100}}), [one])
    assert "tenant gone: not in this stack" in refusal(world(), [replace(one, tenant="gone")])
    assert "deployment gone: not in this stack" in refusal(world(), [replace(one, destination="gone")])
    assert "they would get 404" in refusal(world(), [replace(one, destination="other")])


def test_a_migration_is_found_by_number_or_by_tenant_the_running_one_first() -> None:
    durable = running(running(world(), "M1", phase="done", asked_s=1.0), "M2", asked_s=2.0)
    durable = running(durable, "M3", "beta", phase="failed", asked_s=3.0)
    durable = running(durable, "M4", "beta", phase="done", asked_s=4.0)
    found = {name: find_migration(durable, name).id for name in ("M1", "acme", "beta")}
    assert found == {"M1": "M1", "acme": "M2", "beta": "M4"}


@pytest.mark.parametrize(
    ("name", "why"),
    [("M9", "no migration has the id M9"), ("acme", "tenant acme: was never migrated"), ("m1", "did you mean M1")],
)
def test_what_is_not_found(name: str, why: str) -> None:
    durable = running(world(), tenant="beta") if name == "m1" else world()
    with pytest.raises(UserError, match=why):
        find_migration(durable, name)


def test_of_those_asked_for_together_each_counts_for_the_next() -> None:
    first, second = plan(world(), "acme", "beta")
    assert refusal(world(), [first, second]) == ""
    assert refusal(world(), [first, replace(second, tenant="acme")]) == (
        "tenant acme: is being migrated already, by M1; see `fs migrate status M1`"
    )
    assert "has this number" in refusal(world(), [first, replace(second, id="M1")])
    assert refusal(Durable(), [first]).startswith("nothing was served yet")


def test_thousands_are_planned_and_looked_at_again_with_a_few_walks_through_the_tenants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"t{number:04}" for number in range(2_000)]
    durable = world(added_tenants={name: Tenant(name, "chat") for name in names})
    walks: list[str] = []
    for module in (migration_plan, routing):
        monkeypatch.setattr(module, "tenants", lambda durable: walks.append("") or tenants(durable))
    planned = plan(durable, *names, wave_size=100)
    assert refusal(durable, planned) == ""
    assert tenants_at(durable, "chat")[2:] == tuple(names)
    assert len(walks) < 10
