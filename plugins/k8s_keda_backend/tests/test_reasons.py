"""Why a pod does not serve, in words."""

import asyncio
import sys
from pathlib import Path

import pytest

from finsight_serve_k8s_keda.kinds import Json
from finsight_serve_k8s_keda.reasons import (
    CHARACTERS,
    LastWords,
    has_failed,
    newest_warnings,
    read_warning,
    reason,
)
from finsight_serve_k8s_keda.replica_pod import read_pod

sys.path.insert(0, str(Path(__file__).parent))

from fake_kube import FakeKube, until
from kube_pods import container, crashed, event, loading, pod, ready, terminated, unschedulable, waiting


def told(status: Json, warning: Json | None = None, last_words: str = "") -> str:
    return reason(read_pod(pod(**status)), read_warning(warning) if warning else None, last_words)


def failed(status: Json) -> bool:
    return has_failed(read_pod(pod(**status)))


def test_an_image_that_cannot_be_pulled() -> None:
    assert told(waiting("ImagePullBackOff", 'Back-off pulling image "x"')) == (
        'ImagePullBackOff: Back-off pulling image "x"'
    )
    assert failed(waiting("ImagePullBackOff")) and failed(waiting("ErrImageNeverPull"))
    assert not failed(waiting("ErrImagePull")), "the first try may fail by chance"


def test_a_crash_ends_with_the_engines_last_line() -> None:
    status = crashed(exit_code=1)
    lines = told(status, last_words="loading\nValueError: no such model").splitlines()
    assert lines == ["its process ended with exit code 1, restarted 2 times", "loading", "ValueError: no such model"]
    assert failed(status)


def test_a_process_that_could_not_be_started() -> None:
    status = container(terminated(128, "StartError", message='exec: "/none": no such file'))
    assert told(status).splitlines()[-1] == 'StartError: exec: "/none": no such file'
    assert failed(status)


def test_out_of_memory_is_named_last() -> None:
    assert told(crashed(exit_code=137, reason="OOMKilled"), last_words="step 7").splitlines()[-1] == (
        "OOMKilled: it took more memory than its limit"
    )


def test_it_stays_failed_until_a_new_process_has_answered() -> None:
    last = terminated()
    assert failed(container({"running": {}}, last, started=False, restarts=1))
    assert not failed(container({"running": {}}, last, started=True, restarts=1))


def test_no_node_is_a_reason_and_no_failure() -> None:
    status = unschedulable("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
    assert told(status) == "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    assert not failed(status)


def test_a_pod_that_its_node_gave_up() -> None:
    status = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}
    assert told(status) == "Evicted: The node was low on memory."
    assert failed(status)


def test_a_warning_counts_where_the_pod_itself_says_nothing() -> None:
    warning = event("chat-1", 'MountVolume.SetUp failed:\n secret "none" not found')
    assert (
        told(waiting("ContainerCreating"), warning) == 'FailedMount: MountVolume.SetUp failed: secret "none" not found'
    )
    assert told(waiting("CreateContainerConfigError", "no key"), warning) == "CreateContainerConfigError: no key"
    assert told(waiting("ContainerCreating")) == ""


def test_a_model_that_is_being_loaded_is_no_trouble() -> None:
    refused = event("chat-1", "Startup probe failed: dial tcp 10.0.0.1:8000: connect: connection refused", "Unhealthy")
    assert told(loading(), refused) == ""
    wrong = event("chat-1", "Startup probe failed: HTTP probe failed with statuscode: 500", "Unhealthy")
    assert told(loading(), wrong).startswith("Unhealthy: Startup probe failed")


def test_the_newest_warning_of_each_pod_counts() -> None:
    found = [
        event("a", "new", at="2026-01-01T00:00:09Z"),
        event("a", "old", at="2026-01-01T00:00:01Z"),
        event("b", "its own"),
        {**event("c", "x"), "lastTimestamp": None, "eventTime": "2026-01-01T00:00:00.5Z"},
    ]
    newest = newest_warnings(warning for body in found if (warning := read_warning(body)))
    assert {uid: warning.message for uid, warning in newest.items()} == {
        "uid-a": "new",
        "uid-b": "its own",
        "uid-c": "x",
    }


def test_only_warnings_about_pods_are_kept() -> None:
    assert read_warning({**event("a", "x"), "type": "Normal"}) is None
    assert read_warning({**event("a", "x"), "involvedObject": {"kind": "Node", "name": "n"}}) is None


def test_long_messages_are_cut() -> None:
    assert len(told(waiting("ImagePullBackOff", "x" * 5000))) < CHARACTERS + 30


@pytest.mark.anyio
async def test_last_words_are_read_once_for_each_end() -> None:
    api = FakeKube(logs={"chat-1": "one\n\ntwo\n"})
    changed = asyncio.Event()
    words = LastWords(api, changed.set)  # type: ignore[arg-type]
    first = read_pod(pod(**crashed(id="containerd://1")))
    words.read([first])
    assert words.of(first) is None
    await asyncio.wait_for(changed.wait(), 5)
    words.read([first])
    assert words.of(first) == "one\ntwo"
    assert api.asked == ["log chat-1 previous=true"]
    again = read_pod(pod(**container(terminated(id="containerd://2"))))
    words.read([again])
    await until(lambda: words.of(again) is not None)
    assert api.asked[1:] == ["log chat-1 previous=false"]
    await words.stop()


@pytest.mark.anyio
async def test_a_log_that_cannot_be_read_is_empty() -> None:
    words = LastWords(FakeKube(), lambda: None)  # type: ignore[arg-type]
    ended = read_pod(pod(**crashed()))
    words.read([ended])
    await until(lambda: words.of(ended) == "")
    await words.stop()


@pytest.mark.anyio
async def test_what_is_gone_is_forgotten() -> None:
    api = FakeKube(logs={"chat-1": "one"})
    words = LastWords(api, lambda: None)  # type: ignore[arg-type]
    ended = read_pod(pod(**crashed()))
    words.read([ended])
    await until(lambda: words.of(ended) == "one")
    words.read([])
    assert words.of(ended) is None
    assert words.of(read_pod(pod(**ready()))) == ""
    await words.stop()
