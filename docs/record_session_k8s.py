"""`python -m docs.record_session_k8s KUBECONFIG`: serves the quickstart in pods, behind nginx, then behind a Gateway.

Puts what was seen into docs/kubernetes.md. The cluster is one of `make cluster-up`. Takes minutes, and port 8000.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML
from tests.cluster.gateways import gateway_options
from tests.cluster.harness.builds import cached
from tests.cluster.harness.cluster import Cluster
from tests.cluster.harness.clusters import find_by_kubeconfig
from tests.cluster.stands import pods_of

from finsight_serve_vllm.wheel_model import find_wheel_model

from .record_session import BLOCK, ROOT, fit, run

PAGE = ROOT / "docs" / "kubernetes.md"
SERVE = "fs serve --backend k8s-keda -f fs.yaml --detach"
STATUS = "fs status -f fs.yaml | head -21"
SCALING = "fs status -f fs.yaml -o json | grep -E '\"(autoscaler|endpoint)\"'"
GET = "kubectl get deployments,pods,scaledobjects,hpa,pdb -n {}"
DOWN = "fs down -f fs.yaml"
NGINX = {"plugin": "nginx", "listen": "127.0.0.1:8000"}


def record(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Each command and what it printed."""
    with cluster.namespace() as namespace, tempfile.TemporaryDirectory(prefix="fs-", dir="/tmp") as folder:
        binaries = f"{Path(sys.executable).parent}:{cluster.binaries['kubectl'].parent}"
        env = {
            **os.environ,
            "FS_STATE_DIR": f"{folder}/state",
            "KUBECONFIG": str(cluster.kubeconfig),
            "PATH": f"{binaries}:{os.environ['PATH']}",
        }
        backend = pods_of(cluster, namespace)
        models = str(find_wheel_model().checkpoint.parent)  # type: ignore[union-attr]
        backend["volumes"] += [{"mount_path": models, "host_path": models}]
        try:
            write(Path(folder), {"backends": {"k8s-keda": backend}, "load_balancer": NGINX})
            served = run(SERVE, env, Path(folder))
            yield SERVE, served
            curl = f"{served.partition('  Try    ')[2].strip()} -sS"
            yield curl, run(curl, env, Path(folder))
            run(f"until {SCALING} | grep -q 'load 0 '; do sleep 1; done", env, Path(folder))  # as KEDA asks every 15 s
            yield STATUS, run(STATUS, env, Path(folder))
            yield SCALING, run(SCALING, env, Path(folder))
            yield GET.format(namespace), run(GET.format(namespace), env, Path(folder))
            controller = re.findall(r"running, pid (\d+)", run("fs status -f fs.yaml", env, Path(folder)))[0]
            run(f"kill {controller}; while kill -0 {controller} 2>&-; do sleep 0.2; done", env, Path(folder))
            yield f"kill {controller}  # the controller alone: pods and nginx go on", ""
            yield "# and fs.yaml says now: load_balancer: {plugin: gateway, …}, edge: nginx", ""
            gateway = {"plugin": "gateway", **gateway_options(cluster, namespace)}
            write(Path(folder), {"backends": {"k8s-keda": backend}, "load_balancer": gateway, "edge": NGINX})
            yield SERVE, run(SERVE, env, Path(folder))
            yield curl, run(curl, env, Path(folder))
            routes = f"kubectl get httproutes -n {namespace}"
            yield routes, run(routes, env, Path(folder))
        finally:
            down = run(DOWN, env, Path(folder))
        yield DOWN, down


def write(folder: Path, sections: dict[str, object]) -> None:
    data = YAML().load(ROOT / "examples/quickstart/fs.yaml")
    data.update(sections)
    with (folder / "fs.yaml").open("w") as file:
        YAML().dump(data, file)


def main() -> None:
    cluster = find_by_kubeconfig(Path(sys.argv[1]), cached())
    if cluster is None:
        raise SystemExit(f"{sys.argv[1]} is not of a cluster of the harness: make cluster-up")
    seen = "\n".join(fit(f"$ {command}\n{output.rstrip()}") for command, output in record(cluster))
    PAGE.write_text(BLOCK.sub(lambda _: f"\n```console\n{seen}\n```\n\n", PAGE.read_text()), encoding="utf-8")


if __name__ == "__main__":
    main()
