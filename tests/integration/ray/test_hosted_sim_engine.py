"""An engine that speaks OpenAI's API, hosted by Ray: streams pass whole, and the replica's own port wants the key."""

import hashlib
from dataclasses import replace

import httpx
import pytest

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import KEY_HASHES_ENV, DeploymentSpec
from finsight_serve.testing import make_env

from .conftest import Stack, of, ready, until

KEY = "the-key"
sim = pytest.importorskip("finsight_serve_sim.sim_engine", reason="finsight-serve-sim is not installed")


@pytest.mark.anyio
async def test_a_stream_is_whole_and_wants_the_key(stack: Stack) -> None:
    engine = sim.SimEngine(sim.SimEngine.Options(token_interval_s=0.02), make_env(stack.state_dir))
    launch = engine.launch("sim")
    launch = replace(launch, env={**launch.env, KEY_HASHES_ENV: hashlib.sha256(KEY.encode()).hexdigest()})
    plugin = stack.plugin("sim-owner")
    await plugin.apply(plugin.compile((DeploymentSpec("sim", launch, AutoscalingPolicy()),)))
    (replica,) = of(await until(plugin, ready("sim", 1)), "sim")
    url = f"http://{replica.address}/v1/chat/completions"
    ask = {"model": "sim", "stream": True, "max_tokens": 20, "messages": [{"role": "user", "content": "hello"}]}
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        assert (await client.post(url, json=ask)).status_code == 401
        assert (await client.get(f"http://{replica.address}/health")).status_code == 200
        arrived: list[str] = []
        async with client.stream("POST", url, json=ask, headers={"Authorization": f"Bearer {KEY}"}) as answer:
            assert answer.status_code == 200
            async for chunk in answer.aiter_text():
                arrived.append(chunk)
    assert len(arrived) > 10, "token by token, not in one piece"
    assert "".join(arrived).rstrip().endswith("data: [DONE]")
    await plugin._put([])
