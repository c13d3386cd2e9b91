"""What Serve's answer means, on JSON of the shape that Ray 2.60 gives."""

from typing import Any

import pytest

from finsight_serve.plugin import ApplyError
from finsight_serve_ray.application import is_in_force, merge
from finsight_serve_ray.instance import Instance, addresses, replicas, tail, unlisted

ERROR = """The deployment failed to start 3 times in a row. See controller logs for details. Error:
\x1b[36mray::ServeReplica:chat-me:EngineReplica.initialize_and_get_metadata()\x1b[39m (pid=1)
  File "engine.py", line 60, in build
    raise RuntimeError("the weights are cut short")
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
RuntimeError: the weights are cut short"""


def app(
    owner: str | None = "me", *, status: str = "RUNNING", message: str = "", dead: tuple[str, ...] = (), **states: str
) -> dict[str, Any]:
    config = {"name": f"chat-{owner}", "import_path": "m:app", "args": {"owner": owner, "deployment": "chat"}}
    return {
        "name": f"chat-{owner}",
        "status": status,
        "message": "Failed to update the deployments ['EngineReplica']." if status == "DEPLOY_FAILED" else "",
        "last_deployed_time_s": 1795500858.815581,
        "deployed_app_config": config if owner else None,
        "deployments": {
            "EngineReplica": {
                "name": "EngineReplica",
                "status": status,
                "message": message,
                "replicas": [{"replica_id": id, "state": state, "worker_id": f"w{id}"} for id, state in states.items()],
                "recent_dead_replicas": [{"replica_id": id, "state": "STOPPED", "worker_id": f"w{id}"} for id in dead],
            }
        },
    }


def instance(*apps: dict[str, Any], **ports: int) -> Instance:
    targets = [
        {"ip": "10.0.0.7", "port": port, "instance_id": "", "name": f"SERVE_REPLICA::chat-me#EngineReplica#{id}"}
        for id, port in ports.items()
    ]
    groups = [{"targets": targets, "route_prefix": "/chat-me", "protocol": "HTTP", "app_name": "chat-me"}]
    return Instance.model_validate(
        {
            "controller_info": {"node_ip": "10.0.0.7"},
            "applications": {a["name"]: a for a in apps},
            "target_groups": groups,
        }
    )


def no_log(worker_id: str) -> str:
    return ""


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("STARTING", "starting"),
        ("RUNNING", "ready"),
        ("UPDATING", "ready"),
        ("RECOVERING", "ready"),
        ("PENDING_MIGRATION", "ready"),
        ("STOPPING", "draining"),
        ("SOMETHING_NEW", "starting"),
    ],
)
def test_states(state: str, expected: str) -> None:
    (replica,) = replicas(instance(app(a1=state)), "me", {"a1": "10.0.0.7:30000"}, no_log)
    assert (replica.id, replica.deployment, replica.address) == ("a1", "chat", "10.0.0.7:30000")
    assert replica.state == expected


def test_a_replica_that_listens_nowhere_is_not_ready() -> None:
    (replica,) = replicas(instance(app(a1="RUNNING")), "me", {}, no_log)
    assert replica.state == "starting" and replica.reason


def test_addresses_are_the_replicas_own_and_never_a_proxys() -> None:
    seen = instance(app(a1="RUNNING"), a1=30000, b2=30001)
    seen.target_groups[0].targets.append(
        seen.target_groups[0].targets[0].model_copy(update={"name": "SERVE_PROXY_ACTOR-1"})
    )
    assert addresses(seen) == {"a1": "10.0.0.7:30000", "b2": "10.0.0.7:30001"}
    assert addresses(seen, "127.0.0.1") == {"a1": "127.0.0.1:30000", "b2": "127.0.0.1:30001"}


def test_a_deployment_that_serves_at_an_unknown_address_is_told_apart() -> None:
    serving = instance(app(a1="RUNNING", b2="UPDATING"), app("you", c3="RUNNING"))
    assert unlisted(serving, "me", {}) == ["chat"]
    assert unlisted(serving, "me", {"b2": "10.0.0.7:30001"}) == ["chat"]
    assert unlisted(serving, "me", {"a1": "10.0.0.7:30000", "b2": "10.0.0.7:30001"}) == []
    assert unlisted(instance(app(a1="STARTING", b2="STOPPING")), "me", {}) == []


def test_other_owners_and_python_deployments_are_not_ours() -> None:
    assert replicas(instance(app("you", a1="RUNNING"), app(None, b2="RUNNING")), "me", {}, no_log) == ()


def test_a_start_that_failed_before_says_why_while_it_is_tried_again() -> None:
    (replica,) = replicas(instance(app(message=ERROR, a1="STARTING")), "me", {}, no_log)
    assert replica.state == "starting" and replica.reason.endswith("RuntimeError: the weights are cut short")


def test_a_start_given_up_is_one_failed_replica_with_its_log_and_its_error() -> None:
    asked: list[str] = []

    def log(worker_id: str) -> str:
        asked.append(worker_id)
        return ":job_id:01000000\n:actor_name:ServeReplica\nloading 1 of 2 shards\n"

    failed = app(status="DEPLOY_FAILED", message=ERROR, dead=("a1", "b2"))
    (replica,) = replicas(instance(failed), "me", {}, log)
    assert (replica.id, replica.state, asked) == ("b2", "failed", ["wb2"])
    assert replica.reason.startswith("loading 1 of 2 shards\n")
    assert replica.reason.endswith("RuntimeError: the weights are cut short")
    assert "\x1b" not in replica.reason and "^^^" not in replica.reason


def test_an_application_that_could_not_even_be_built_is_a_failed_replica() -> None:
    failed = app(status="DEPLOY_FAILED")
    failed["deployments"], failed["message"] = {}, "ModuleNotFoundError: No module named 'engine'"
    (replica,) = replicas(instance(failed), "me", {}, no_log)
    assert replica.state == "failed" and replica.reason == failed["message"] and replica.id.startswith("chat")


def test_a_cluster_without_serve_has_nothing() -> None:
    empty = Instance.model_validate({"target_capacity": None, "controller_info": {}, "proxies": {}, "applications": {}})
    assert replicas(empty, "me", {}, no_log) == () and addresses(empty) == {}


def test_merging_keeps_other_peoples_applications_and_prunes_only_ours() -> None:
    current = instance(app("you"), app("me"), app(None)).applications
    wanted = {"name": "code-me", "args": {"owner": "me", "deployment": "code"}}
    assert [body["name"] for body in merge(current, [wanted], "me")] == ["chat-you", "code-me"]
    assert [body["name"] for body in merge(current, [], "me")] == ["chat-you"]


def test_a_name_that_somebody_else_holds_is_refused_unless_it_is_on_its_way_out() -> None:
    wanted = [{"name": "chat-None", "args": {"owner": "me", "deployment": "chat"}}]
    with pytest.raises(ApplyError, match="'chat-None' of somebody else") as refused:
        merge(instance(app(None)).applications, wanted, "me")
    assert refused.value.lasting
    assert merge(instance(app(None, status="DELETING")).applications, wanted, "me") == wanted


def test_only_what_differs_or_has_failed_is_put_again() -> None:
    current = instance(app("me")).applications
    body = current["chat-me"].deployed_app_config
    assert body is not None and is_in_force(current, [body], "me")
    assert not is_in_force(current, [], "me")
    assert not is_in_force(current, [{**body, "import_path": "other:app"}], "me")
    assert not is_in_force(instance(app("me", status="DEPLOY_FAILED")).applications, [body], "me")
    assert is_in_force(instance(app("you")).applications, [], "me")


def test_tail_is_short() -> None:
    assert tail("\n".join(map(str, range(100)))) == "\n".join(map(str, range(88, 100)))
