"""The main job: the quickstart's real model, in real vLLM, on real Ray, behind real nginx."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from .canary import CANARY, files_with
from .printed import send_printed
from .stand import Stand

QUICKSTART = Path(__file__).parents[2] / "examples/quickstart/fs.yaml"
MODEL_READY_S = 400.0
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def quickstart() -> Iterator[Stand]:
    with closing(Stand()) as stand:
        data = YAML().load(QUICKSTART)
        data["load_balancer"] = {"plugin": "nginx", "listen": f"127.0.0.1:{stand.port}"}
        with stand.file.open("w") as file:
            YAML().dump(data, file)
        stand.serve(MODEL_READY_S)
        yield stand


def test_the_printed_line_streams_the_answer(quickstart: Stand) -> None:
    events = send_printed(quickstart.serving.output)
    assert len(events) > 5 and events[-1] == "data: [DONE]"
    assert any("Paris" in event for event in events)


def test_openais_client_streams_it_with_usage(quickstart: Stand) -> None:
    stream = quickstart.client().chat.completions.create(
        model="smollm2", messages=QUESTION, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "Paris" in text
    usage = chunks[-1].usage
    assert usage is not None and 0 < usage.completion_tokens <= len(chunks)
    assert [model.id for model in quickstart.client().models.list()] == ["smollm2"]


def test_prompts_and_answers_are_written_nowhere(quickstart: Stand) -> None:
    client = quickstart.client()
    asked = [{"role": "user", "content": f"Repeat this word: {CANARY}"}]
    client.chat.completions.create(model="smollm2", messages=asked, max_tokens=8)
    list(client.completions.create(model="smollm2", prompt=CANARY, max_tokens=8, stream=True))
    assert list(files_with(quickstart.folder, CANARY)) == []
