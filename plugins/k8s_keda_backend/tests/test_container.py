import sys
from pathlib import Path

import pytest

from finsight_serve.plugin import KEY_HASHES_ENV, METRICS_KEY_ENV, OPEN_METRICS_ENV, ApplyError

sys.path.insert(0, str(Path(__file__).parent))
from rendering import container, env, launch, render


def test_the_engine_starts_with_the_images_python_on_all_of_the_pods_addresses() -> None:
    argv = container(python="/opt/python", port=9000)["command"]
    assert argv == ["/opt/python", "-m", "engine", "--host", "0.0.0.0", "--port", "9000"]


def test_what_kubernetes_would_expand_is_kept_as_it_is() -> None:
    started = launch("serve", "--template=$(HOME)", env={"PATTERN": "$(x)"}, plain_env=frozenset({"PATTERN"}))
    assert container(started)["command"] == ["serve", "--template=$$(HOME)"]
    assert env(started)["PATTERN"] == "$$(x)"


def test_the_backends_image_wins_over_the_engines() -> None:
    assert container()["image"] == "engine:1"
    assert container(image="mine:2", image_pull_policy="Never")["image"] == "mine:2"
    assert container(image="mine:2", image_pull_policy="Never")["imagePullPolicy"] == "Never"


def test_without_an_image_it_is_one_line_that_says_what_to_set() -> None:
    with pytest.raises(
        ApplyError, match=r"^deployment 'chat': its engine names no image: set the backend's `image`"
    ) as no:
        render(launch(image=""))
    assert "\n" not in str(no.value)


def test_nothing_may_be_gained_or_written_from_within() -> None:
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def test_it_has_a_home_to_write_to_and_a_name() -> None:
    found = env()
    assert (found["HOME"], found["USER"]) == ("/tmp", "finsight")
    assert env(env={"HOME": "/cache"})["HOME"] == "/cache"


def test_the_environment_is_sorted_and_the_users_own_wins() -> None:
    started = launch(env={"B": "engine's", KEY_HASHES_ENV: "abc"}, plain_env=frozenset({"B"}))
    found = env(started, env={"B": "user's", "A": "1"})
    assert found["B"] == "user's"
    assert found[KEY_HASHES_ENV] == "abc"
    assert list(found) == sorted(found)


def test_what_may_be_a_secret_lies_in_a_secret_that_nothing_overrides() -> None:
    started = launch(env={"HUB_TOKEN": "hush", "PLAIN": "1", "HOME": "/models"}, plain_env=frozenset({"PLAIN"}))
    found = render(started, env_from_secrets=["theirs"])
    assert found["Secret"]["data"] == {"HUB_TOKEN": "aHVzaA==", "HOME": "L21vZGVscw=="}
    shown = found["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert shown["envFrom"] == [{"secretRef": {"name": "theirs"}}, {"secretRef": {"name": "chat-engine"}}]
    assert not {"HUB_TOKEN", "HOME"} & {one["name"] for one in shown["env"]}
    assert "hush" not in str(found["Deployment"])


def test_another_secret_replaces_the_replicas() -> None:
    one, two = (render(launch(env={"HUB_TOKEN": token}))["Deployment"]["spec"]["template"] for token in ("a", "b"))
    assert one["metadata"]["annotations"] != two["metadata"]["annotations"]
    assert one["spec"] == two["spec"]


def test_without_secrets_there_is_no_secret() -> None:
    started = launch(env={KEY_HASHES_ENV: "abc", "PLAIN": "1"}, plain_env=frozenset({"PLAIN"}))
    assert "Secret" not in render(started)
    assert "envFrom" not in container(started)


def test_metrics_are_open_to_whom_the_network_policy_lets_in() -> None:
    assert env()[OPEN_METRICS_ENV] == "1"
    assert OPEN_METRICS_ENV not in env(network_policy=False)


def test_a_key_for_metrics_comes_from_its_secret() -> None:
    found = env(metrics_key_secret="scraping")
    assert found[METRICS_KEY_ENV] == {"secretKeyRef": {"name": "scraping", "key": "key"}}
    assert OPEN_METRICS_ENV not in found


def test_means() -> None:
    found = container(launch(num_cpus=0.5), memory="2048Mi", cpu_limit=2)["resources"]
    assert found == {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}}
    assert container()["resources"] == {"requests": {"cpu": "1"}}


def test_gpus_are_requested_and_limited_alike() -> None:
    found = container(launch(num_gpus=2.0), gpu_resource="amd.com/gpu")["resources"]
    assert found["requests"]["amd.com/gpu"] == found["limits"]["amd.com/gpu"] == "2"
    assert "nvidia.com/gpu" not in str(container()["resources"])


def test_a_share_of_a_gpu_is_refused() -> None:
    with pytest.raises(ApplyError, match=r"^deployment 'chat': it asks for 0.5 GPUs, and Kubernetes gives whole ones$"):
        render(launch(num_gpus=0.5))


def test_a_replica_may_load_as_long_as_is_said() -> None:
    probe = container(startup_timeout_s=901)["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 901
    assert probe["periodSeconds"] * (probe["failureThreshold"] - 1) < 901


def test_a_busy_replica_is_given_a_minute_before_it_is_killed() -> None:
    found = container()
    alive, ready = found["livenessProbe"], found["readinessProbe"]
    assert alive["periodSeconds"] * alive["failureThreshold"] >= 60
    assert alive["timeoutSeconds"] >= 10
    assert ready["periodSeconds"] * ready["failureThreshold"] < 60
    for probe in (alive, ready, found["startupProbe"]):
        assert probe["httpGet"] == {"path": "/health", "port": "http"}


def test_an_ending_replica_waits_until_all_have_heard() -> None:
    assert container(pre_stop_s=7)["lifecycle"] == {"preStop": {"sleep": {"seconds": 7}}}
    assert "lifecycle" not in container(pre_stop_s=0)
