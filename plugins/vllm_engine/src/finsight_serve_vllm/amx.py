"""Keeps vLLM from its attention kernel for AMX, which answers wrongly."""


def avoid() -> None:
    """vLLM calls it in each of its processes (entry point `vllm.general_plugins`).

    Seen with vLLM 0.32 on a processor that has AMX: asked for the capital of France, SmolLM2-135M in bfloat16 (nine
    heads, three for keys and values) tells of l'Étoile; by the kernel for AVX-512, taken without AMX, of Paris.
    """
    import torch

    torch.cpu._is_amx_tile_supported = lambda: False
