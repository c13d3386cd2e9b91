"""A text that stands for every prompt and answer: sent in all the ways there are, and then looked for on the disk."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from .stand import MODEL, Stand

CANARY = "canary-7f3a9c41e5"


def files_with(folder: Path, text: str) -> Iterator[Path]:
    """Links are followed: a backend's logs may lie elsewhere."""
    for parent, _, names in os.walk(folder, followlinks=True):
        for path in (Path(parent) / name for name in names):
            if path.is_file() and text.encode() in path.read_bytes():
                yield path


def send_canaries(stand: Stand) -> None:
    asks = [{"role": "user", "content": CANARY}]
    with stand.client() as client:
        assert CANARY in (client.chat.completions.create(model=MODEL, messages=asks).choices[0].message.content or "")
        client.completions.create(model=MODEL, prompt=CANARY, max_tokens=2)
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model=CANARY, messages=asks)
        with pytest.raises(openai.BadRequestError):
            client.post("/chat/completions", content=f'{{"{CANARY}"'.encode(), cast_to=object)
        with pytest.raises(openai.NotFoundError):
            client.get(f"/{CANARY}?q={CANARY}", cast_to=object)
        with pytest.raises(openai.APIStatusError):
            client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": CANARY * 10**6}])
    httpx.get(f"{stand.url}/v1/models?q={CANARY}", headers={"User-Agent": CANARY, "Referer": CANARY}, trust_env=False)
