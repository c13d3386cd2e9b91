"""The document of a stack: what `fs status` has and more, and nothing that is secret."""

import json
from dataclasses import replace
from typing import Any

import pytest

from finsight_serve.domain.migration import Migration
from finsight_serve.plugin import Replica, Request
from finsight_serve.stack.values import PluginRef, Tenant
from finsight_serve.store import store as stores
from finsight_serve.ui.document import MOST_ROWS, document
from finsight_serve.ui.reading import MOST_MIGRATIONS, MOST_OVER, chosen_migrations

from ..cli.served import NOW_S, Served
from .readings import MOVING, Absent, Running, look, move, open_breaker, shown


def keys_of(value: Any, path: str = "") -> set[str]:
    """Every path of names in it; rows of a list are one."""
    if isinstance(value, dict):
        return {path, *(found for name, item in value.items() for found in keys_of(item, f"{path}.{name}"))}
    if isinstance(value, list):
        return {path, *(found for item in value for found in keys_of(item, path))}
    return {path}


def request(id: str, deployment: str = "chat", *, version: int = 1, outcome: Any = "complete") -> Request:
    return Request(id, id, "acme", deployment, "127.0.0.1:1", 200, outcome, NOW_S - 60, 2.0, 0.5, version)


def test_it_has_all_that_fs_status_has_under_the_same_names(served: Served) -> None:
    move(served)
    open_breaker(served)
    status = json.loads(served.fs("status", "-o", "json").stdout)
    assert keys_of(status) <= keys_of(document(look(served.folder, Absent())))


def test_live_values_are_the_running_controllers(served: Served) -> None:
    found = shown(served)
    assert found["is_live"] and found["stack"]["controller"] == "running, pid 7"
    chat, new = found["deployments"]
    assert (chat["name"], chat["ready"], chat["min_replicas"], chat["max_replicas"]) == ("chat", 2, 1, 3)
    assert new["breaker"] == {"state": "closed", "reason": ""} and new["target_ongoing_requests"] is not None
    assert [one["id"] for one in found["replicas"]] == ["1", "2", "9"]
    assert found["tenants"][0]["routed_to"] == {"chat": 100}


@pytest.mark.anyio
async def test_a_migration_moves_with_its_ledger(served: Served) -> None:
    move(served)
    await served.note(
        request("a", "new", version=3),
        request("b", version=3),
        request("c", "new", version=4, outcome="truncated"),
        request("d", "new", version=2),
    )
    found = shown(served)
    (moving,) = found["migrations"]
    assert (moving["tenant"], moving["to"], moving["percent"], moving["step"]) == ("acme", "new", 50, 2)
    assert (moving["steps_percent"], moving["is_over"], moving["ended_at"]) == ([10, 50, 100], False, None)
    rows = [(row["percent"], row["deployment"], row["requests"], row["truncated"]) for row in moving["ledger"]]
    assert rows == [(10, "new", 1, 0), (10, "chat", 1, 0), (50, "new", 1, 1)]
    assert (moving["requests"], moving["truncated"], moving["in_all"]["requests"]) == (2, 1, 3)
    assert moving["explanation"][0] == "step 2 of 3: 50 % of acme's requests go to new"
    assert found["tenants"][0]["migration"] == "M1" and found["tenants"][1]["migration"] is None
    assert found["tenants"][0]["requests"] == 4 and found["tenants"][0]["truncated"] == 1


def test_without_a_controller_it_is_what_was_stored(served: Served) -> None:
    move(served)
    found = shown(served, Absent())
    assert not found["is_live"] and found["stack"]["controller"] == "not running"
    assert [one["name"] for one in found["deployments"]] == ["chat", "new"] and found["replicas"] == []
    assert found["migrations"][0]["explanation"][-1].endswith("and none runs")


def test_no_secret_is_in_it(served: Served) -> None:
    secret = "s3cret"
    served.change(
        lambda durable: replace(
            durable,
            stack=replace(durable.stack, load_balancer=PluginRef("acme", {"token": secret})) if durable.stack else None,
            tenant_key_sha256={"acme": (f"{secret}-hash",)},
            key_ends_s={f"{secret}-hash": NOW_S},
        )
    )
    keys = served.state.durable.replica_keys["chat"]
    text = json.dumps(shown(served))
    assert secret not in text and keys.current not in text and keys.previous not in text


def test_thousands_of_tenants_and_replicas_are_bounded_and_who_moves_is_shown(served: Served) -> None:
    last = f"t{MOST_ROWS + 98:04}"
    many = {f"t{n:04}": Tenant(f"t{n:04}", "chat") for n in range(MOST_ROWS + 99)}
    served.change(lambda durable: replace(durable, added_tenants=many))
    move(served, replace(MOVING, tenant=last))
    running = Running(served)
    crowd = tuple(Replica(str(n), "chat", "127.0.0.1:1", "ready") for n in range(MOST_ROWS + 5))
    running.observed["one"] = replace(running.observed["one"], replicas=crowd)
    found = shown(served, running)
    assert len(found["tenants"]) == MOST_ROWS == len(found["replicas"])
    assert found["left_out"] == {"replicas": 6, "tenants": 101, "migrations": 0}
    assert last in {one["name"] for one in found["tenants"]}


def test_of_many_migrations_the_newest_are_shown(served: Served) -> None:
    def ended(number: int) -> Migration:
        return replace(MOVING, id=f"M{number}", phase="done", since_s=float(number), asked_s=float(number))

    running = [replace(MOVING, id=f"M{n}", tenant=f"t{n}", asked_s=float(n)) for n in range(100, 125)]
    durable = replace(served.state.durable, migrations={one.id: one for one in (*map(ended, range(9)), *running)})
    found, more = chosen_migrations(durable)
    assert [one.id for one in found[:2]] == ["M124", "M123"] and more == 25 - MOST_MIGRATIONS
    assert [one.id for one in found[MOST_MIGRATIONS:]] == ["M8", "M7", "M6"][:MOST_OVER]


def test_damage_is_told_and_what_else_there_is_is_shown(served: Served) -> None:
    (served.folder / "ledger.db").write_bytes(b"no database" * 1000)
    found = shown(served, Absent())
    assert found["standing"]["level"] == "trouble" and [one["name"] for one in found["deployments"]] == ["chat", "new"]
    assert "ledger.db: is damaged" in found["standing"]["findings"][0]["text"]
    for name in (stores.FILE_NAME, f"{stores.FILE_NAME}-wal"):
        (served.folder / name).write_bytes(b"no database" * 1000)
    found = shown(served, Absent())
    assert "state.db: is damaged" in found["standing"]["findings"][0]["text"] and found["deployments"] == []
    json.dumps(found)
