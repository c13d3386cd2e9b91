"""`python -m benchmarks.toy_model FOLDER TOKENIZER`: a Llama of two small layers with random weights.

It computes next to nothing, so what is left is what the path costs.
"""

import sys
from pathlib import Path
from typing import Any


def make(folder: Path, tokenizer_folder: Path) -> None:
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    progress: Any = logging  # untyped
    progress.disable_progress_bar()

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model: Any = LlamaForCausalLM  # untyped
    model(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
