"""The plugin: options in, `Launch` out."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from finsight_serve.capabilities import Scratch
from finsight_serve.env import Env
from finsight_serve.plugin import Feature, Launch, Problem

from .metrics import SIGNALS
from .options import Options as SimOptions
from .options import format_argv


class SimEngine:
    name: ClassVar[str] = "sim"
    Options: ClassVar[type[SimOptions]] = SimOptions
    lacks: ClassVar[Mapping[Feature, str]] = {Feature.GPUS: "it computes nothing"}

    def __init__(self, options: SimOptions, env: Env) -> None:
        self.options = options

    @staticmethod
    def drill_options(scratch: Scratch) -> Mapping[str, Any]:
        return {
            "load_s": scratch.cold_start_s,
            "token_interval_s": scratch.token_interval_s,
            "max_num_seqs": scratch.max_running,
            "fail_load": scratch.fails,
        }

    def check(self) -> Sequence[Problem]:
        return ()

    def check_model(self, model: str) -> Sequence[Problem]:
        """Any name will do."""
        return ()

    def prepare(self, model: str) -> None:
        pass

    def launch(self, model: str) -> Launch:
        argv = format_argv(model, self.options)
        return Launch(
            argv=(sys.executable, "-m", "finsight_serve_sim", "--host", "{host}", "--port", "{port}", *argv),
            asgi="finsight_serve_sim.app:factory",
            asgi_argv=argv,
            signals=SIGNALS,
            num_cpus=0.1,
            py_modules=("finsight_serve", "finsight_serve_sim", "pluggy"),
        )

    def served_model(self, model: str) -> str:
        return self.options.served_model_name or model
