import os
import secrets
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from .harness import clusters
from .harness.builds import build, cached
from .harness.cluster import Cluster, Settings
from .harness.errors import HarnessError
from .harness.given import GivenCluster
from .harness.host_mounts import as_options, as_pod, closed, python_folders
from .harness.requirements import lacking
from .reports import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

GIVEN = "FS_TEST_KUBECONFIG"
FAILED = pytest.StashKey[bool]()

MakeCluster = Callable[..., Cluster]


@pytest.fixture(scope="session")
def make_cluster(request: pytest.FixtureRequest) -> Iterator[MakeCluster]:
    """`make_cluster(**settings)` starts a cluster of the harness's own; all end with the session."""
    say = _sayer(request.config)
    binaries = cached()
    if missing := lacking(binaries):
        pytest.skip(f"this machine can't hold a cluster: it lacks {'; '.join(missing)}")
    build(binaries, say)
    clusters.end_abandoned(binaries, say)
    made: list[Cluster] = []

    def make(**settings: Any) -> Cluster:
        name = f"t{secrets.token_hex(3)}"
        made.append(clusters.make(name, binaries, Settings(**settings)))
        return made[-1]

    yield make
    failed = request.config.stash.get(FAILED, False)
    for cluster in made:
        if failed and cluster.runs:
            _write_down(cluster)
            say(f"logs of the cluster {cluster.name}: {cluster.logs}")
        cluster.stop(keep_logs=failed)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster | GivenCluster:
    """The cluster that all tests share: the harness's own, or the one that FS_TEST_KUBECONFIG names."""
    given = os.environ.get(GIVEN)
    if not given:
        made: Cluster = request.getfixturevalue("make_cluster")()
        return made
    path = Path(given).expanduser()
    if not path.is_file():
        pytest.fail(f"{GIVEN} names {path}, which is no file")
    return clusters.find_by_kubeconfig(path, cached()) or GivenCluster(path)


@pytest.fixture(scope="session")
def second_cluster(make_cluster: MakeCluster) -> Cluster:
    """Beside the first, with addresses of its own that the first one's pods reach."""
    return make_cluster()


@pytest.fixture(scope="session")
def bare_cluster(make_cluster: MakeCluster) -> Cluster:
    """Kubernetes alone: neither KEDA nor the Gateway API."""
    return make_cluster(with_keda=False, with_gateway=False)


@pytest.fixture
def namespace(cluster: Cluster | GivenCluster) -> Iterator[str]:
    """A namespace of the shared cluster, for one test."""
    with cluster.namespace() as name:
        yield name


@pytest.fixture(scope="session")
def host_folders() -> list[Path]:
    """What a pod mounts, read-only and at the same paths, to run `sys.executable` of this very environment."""
    folders = python_folders()
    if unreadable := closed(folders):
        pytest.skip(f"pods may not read {', '.join(map(str, unreadable))}: open it to others (chmod o+rx)")
    return folders


@pytest.fixture(scope="session")
def host_image(cluster: Cluster | GivenCluster) -> str:
    """An image that runs as user 1000 what `host_mounts` brings; imagePullPolicy Never."""
    return cluster.host_image


@pytest.fixture(scope="session")
def host_mounts(host_image: str, host_folders: list[Path]) -> list[dict[str, object]]:
    """As the backend's option `volumes` wants them."""
    return as_options(host_folders)


@pytest.fixture(scope="session")
def host_pod(host_image: str, host_folders: list[Path]) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """A pod's `volumes` and a container's `volumeMounts`."""
    return as_pod(host_folders)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.config.stash[FAILED] = True
    return report


def _sayer(config: pytest.Config) -> Callable[[str], None]:
    """Past pytest's capture: a first build takes a quarter of an hour."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.write_line(line)

    return say


def _write_down(cluster: Cluster) -> None:
    """What logs don't hold."""
    for file, what in {"events": ("events",), "objects": ("all,hpa,scaledobjects,httproutes",)}.items():
        try:
            text = cluster.kubectl("get", *what, "--all-namespaces", "-o", "wide")
        except (HarnessError, subprocess.TimeoutExpired) as error:
            text = str(error)
        (cluster.logs / f"{file}.txt").write_text(text)
