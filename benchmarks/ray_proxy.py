"""`python -m benchmarks.ray_proxy PORT REPLICAS ENGINE_ARGUMENT…`: the simulated engine behind Ray's default proxy.

A plain Serve application on a Ray of its own. Prints "ready", and ends when its standard input does.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any


def main(port: int, replicas: int, argv: tuple[str, ...]) -> None:
    import ray
    from ray import serve

    @serve.deployment(num_replicas=replicas, max_ongoing_requests=256, ray_actor_options={"num_cpus": 0.1})
    @serve.ingress()
    class Replica:
        async def __serve_build_asgi_app__(self) -> Any:
            from finsight_serve_sim.app import factory

            return await factory(argv)

    with tempfile.TemporaryDirectory(prefix="fs-bench-", dir="/tmp") as folder:  # sockets' paths must be short
        ray.init(
            num_cpus=4,
            include_dashboard=False,
            object_store_memory=100_000_000,
            log_to_driver=False,
            _temp_dir=str(Path(folder)),
            _node_ip_address="127.0.0.1",
        )
        try:
            serve.start(http_options={"host": "127.0.0.1", "port": port, "access_log": False})
            deployment: Any = Replica  # the decorators' types are not declared
            serve.run(deployment.bind(), name="sim", route_prefix="/")
            print("ready", flush=True)
            sys.stdin.read()
        finally:
            ends: tuple[Any, ...] = (serve.shutdown, ray.shutdown)  # untyped
            for end in ends:
                end()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), tuple(sys.argv[3:]))
