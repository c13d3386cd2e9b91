"""`python -m finsight_serve_vllm.dequantise GGUF FOLDER`: a GGUF file's model as an ordinary bfloat16 checkpoint.

Prints "PERCENT WHAT" as it gets on; a process of its own, since it needs a gigabyte that the caller should not keep.
"""

import sys
from pathlib import Path
from typing import Any


def convert(gguf: Path, folder: Path) -> None:
    report(5, "loading libraries")
    import torch
    import transformers

    report(30, "reading the tokenizer")
    source: dict[str, Any] = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = transformers.AutoTokenizer.from_pretrained(**source)
    report(45, "dequantising the weights")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    report(85, "writing the checkpoint")
    # The loaded model refuses to be saved because its config says that it is quantised; a fresh one does not.
    config = loaded.config
    del config.quantization_config
    fresh: Any = type(loaded)(config)
    fresh.to(torch.bfloat16)
    fresh.load_state_dict(loaded.state_dict())
    fresh.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    report(95, "checking it")


def report(percent: int, what: str) -> None:
    print(percent, what, flush=True)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
