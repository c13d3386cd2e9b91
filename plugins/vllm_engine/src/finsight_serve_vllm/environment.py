"""The environment that vLLM is run in: no telemetry, no hub where none is needed, no orphans."""

from collections.abc import Mapping

OWNED_ENV = "FINSIGHT_SERVE_VLLM"
"""Marks processes whose helpers must end with them (`orphans`)."""

ALWAYS: Mapping[str, str] = {
    OWNED_ENV: "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # what vLLM's own server chooses; forking a threaded process is not safe
    "VLLM_DEBUG_LOG_API_SERVER_RESPONSE": "false",  # it would write completions to the log
}
OFFLINE: Mapping[str, str] = {"HF_HUB_OFFLINE": "1"}
ON_CPU: Mapping[str, str] = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # left to itself, vLLM binds every replica of a machine to the same cores
}


def build_environment(*, local_model: bool, cpus: int | None) -> Mapping[str, str]:
    """`cpus`: cores per replica, None where it computes on a GPU."""
    on_cpu = {**ON_CPU, "OMP_NUM_THREADS": str(cpus)} if cpus is not None else {}
    return {**ALWAYS, **(OFFLINE if local_model else {}), **on_cpu}
