"""The plugin: a model and vLLM's options in, `Launch` out."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from finsight_serve.domain import Dashboard
from finsight_serve.env import Env
from finsight_serve.plugin import ApplyError, Feature, Launch, Problem

from . import installation
from .conversion import convert
from .dashboard import DASHBOARD
from .environment import build_environment
from .model_cache import fill
from .model_source import check_source, find_source
from .option_check import check_options
from .options import CPU_DEFAULTS, format_argv
from .options import Options as VllmOptions
from .wheel_model import find_wheel_model

SIGNALS: Mapping[str, str] = {
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "tokens": "vllm:generation_tokens_total",
}


class VllmEngine:
    name: ClassVar[str] = "vllm"
    Options: ClassVar[type[VllmOptions]] = VllmOptions
    lacks: ClassVar[Mapping[Feature, str]] = {}
    dashboards: ClassVar[Sequence[Dashboard]] = (DASHBOARD,)

    def __init__(self, options: VllmOptions, env: Env) -> None:
        self.options = options
        self.env = env

    def check(self) -> Sequence[Problem]:
        return installation.check_installation() or self._check_device()

    def check_model(self, model: str) -> Sequence[Problem]:
        return (*check_source(model, self.options.revision), *check_options(self.options.given))

    def prepare(self, model: str) -> None:
        """Dequantises the wheel's model into the user's cache, once. Raises `ApplyError` if it can't."""
        if find_source(model).kind != "wheel":
            return
        found = find_wheel_model()
        if found is None:
            raise ApplyError("; ".join(f"{problem.message}: {problem.fix}" for problem in self.check_model(model)))

        def make(folder: Path) -> None:
            convert(found.gguf, folder, self.env.progress)

        try:
            fill(found.checkpoint, make, self.env.progress)
        except OSError as error:
            raise ApplyError(f"the model can't be prepared in {found.checkpoint.parent}: {error.strerror}") from error

    def launch(self, model: str) -> Launch:
        source = find_source(model)
        on_cpu = self._on_cpu()
        options = self.options.arguments(CPU_DEFAULTS if on_cpu else {})
        argv = ("--model", source.location, "--served-model-name", self.served_model(model), *format_argv(options))
        gpus = self.options.tensor_parallel_size * self.options.pipeline_parallel_size
        env = build_environment(local_model=source.kind != "hub", cpus=self.options.num_cpus if on_cpu else None)
        return Launch(
            argv=(sys.executable, "-m", "finsight_serve_vllm", "--host", "{host}", "--port", "{port}", *argv),
            asgi="finsight_serve_vllm.app:factory",
            asgi_argv=argv,
            env=env,
            signals=SIGNALS,
            num_cpus=float(self.options.num_cpus) if on_cpu else 1.0,
            num_gpus=0.0 if on_cpu else float(gpus),
            image=f"vllm/vllm-openai{'-cpu' if on_cpu else ''}:v{installation.image_version()}",
            py_modules=("finsight_serve", "finsight_serve_vllm", "pluggy"),
            plain_env=frozenset(env),
            files=(source.location,) if source.kind in ("folder", "wheel") else (),
        )

    def _check_device(self) -> list[Problem]:
        if self._on_cpu() == installation.runs_on_cpu():
            return []
        message = f"device is {self.options.device}, and the vLLM of this machine is built for the other"
        return [Problem(message, "leave it out, or serve on another backend", "device")]

    def _on_cpu(self) -> bool:
        return installation.runs_on_cpu() if self.options.device == "auto" else self.options.device == "cpu"

    def served_model(self, model: str) -> str:
        return self.options.served_model_name or find_source(model).served_name
