"""vLLM as an engine. Only this distribution imports vllm, and only in `app`, `option_parser` and what they start."""

from typing import TYPE_CHECKING

from finsight_serve.plugin import hookimpl

if TYPE_CHECKING:
    from .vllm_engine import VllmEngine


@hookimpl
def engine() -> "type[VllmEngine]":
    from .vllm_engine import VllmEngine

    return VllmEngine
