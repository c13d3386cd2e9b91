import sys
from pathlib import Path

import pytest

from finsight_serve.plugin import ApplyError

sys.path.insert(0, str(Path(__file__).parent))
from rendering import launch, mounts, pod, render

SELECTOR = {"app.kubernetes.io/name": "chat", "app.kubernetes.io/managed-by": "finsight-serve"}


def test_it_is_nobody_special() -> None:
    found = pod(run_as_user=2000)
    assert found["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 2000,
        "runAsGroup": 2000,
        "fsGroup": 2000,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert found["serviceAccountName"] == "chat"
    assert found["automountServiceAccountToken"] is False


def test_a_service_sets_no_variable_in_it() -> None:
    assert pod()["enableServiceLinks"] is False


def test_open_streams_end_before_the_pod_does() -> None:
    assert pod(pre_stop_s=5, drain_timeout_s=120)["terminationGracePeriodSeconds"] > 125


def test_replicas_are_spread_but_never_kept_from_running() -> None:
    spread = {one.pop("topologyKey"): one for one in pod()["topologySpreadConstraints"]}
    assert set(spread) == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    for one in spread.values():
        assert one == {
            "maxSkew": 1,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": SELECTOR},
        }


def test_where_it_may_run_is_the_users_choice() -> None:
    toleration = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    found = pod(
        node_selector={"b": "2", "a": "1"},
        tolerations=[toleration],
        priority_class="high",
        image_pull_secrets=["registry"],
    )
    assert list(found["nodeSelector"].items()) == [("a", "1"), ("b", "2")]
    assert found["tolerations"] == [toleration]
    assert found["priorityClassName"] == "high"
    assert found["imagePullSecrets"] == [{"name": "registry"}]
    assert not {"nodeSelector", "tolerations", "priorityClassName", "imagePullSecrets"} & pod().keys()


def test_it_can_write_to_its_home_and_its_shared_memory_alone() -> None:
    assert {path: one for path, one in mounts().items() if not one.get("readOnly")} == mounts()
    assert mounts()["/tmp"]["emptyDir"] == {}
    assert mounts()["/dev/shm"]["emptyDir"] == {"medium": "Memory"}
    assert set(mounts()) == {"/tmp", "/dev/shm"}


def test_each_kind_of_volume() -> None:
    found = mounts(
        volumes=[
            {"mount_path": "/a", "host_path": "/srv/a"},
            {"mount_path": "/b", "claim": "models", "read_only": False},
            {"mount_path": "/c", "secret": "token"},
            {"mount_path": "/d", "config_map": "settings"},
            {"mount_path": "/e", "empty_dir": "1024Mi"},
        ]
    )
    assert found["/a"]["hostPath"] == {"path": "/srv/a"}
    assert found["/b"]["persistentVolumeClaim"] == {"claimName": "models"}
    assert found["/c"]["secret"] == {"secretName": "token"}
    assert found["/d"]["configMap"] == {"name": "settings"}
    assert found["/e"]["emptyDir"] == {"sizeLimit": "1Gi"}
    assert [path for path in "abcde" if found[f"/{path}"].get("readOnly")] == ["a", "c", "d"]


@pytest.mark.parametrize("place", ["/tmp", "/tmp/"])
def test_a_volume_of_the_users_takes_the_place_of_ours(place: str) -> None:
    found = mounts(volumes=[{"mount_path": place, "claim": "scratch", "read_only": False}])
    assert [path for path in found if path.startswith("/tmp")] == [place]


def test_a_model_on_this_machine_must_be_mounted() -> None:
    started = launch(files=("/models/tiny",))
    with pytest.raises(
        ApplyError, match=r"^deployment 'chat': it reads /models/tiny, which no pod has: mount a volume"
    ):
        render(started)
    with pytest.raises(ApplyError, match="no pod has"):
        render(started, volumes=[{"mount_path": "/models/ti", "claim": "models"}])
    for place in ("/models/tiny", "/models/tiny/", "/models"):
        assert place in mounts(started, volumes=[{"mount_path": place, "claim": "models"}])
