import pytest

from finsight_serve_sim.app import factory, is_hit

pytestmark = pytest.mark.anyio
QUESTION = {"model": "sim", "prompt": "x", "max_tokens": 8}


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.25, 0.5, 1.0])
def test_errors_are_spread_evenly(rate):
    hits = [is_hit(count, rate) for count in range(1, 41)]
    assert sum(hits) == int(40 * rate)
    assert all(abs(sum(hits[:count]) - count * rate) <= 1 for count in range(1, 41))


async def test_faults_set_at_run_time_begin_and_end(connect):
    async with connect() as client:
        assert (await client.post("/sim/faults", json={"error_rate": 1, "error_status": 503})).status_code == 200
        failed = await client.post("/v1/completions", json=QUESTION)
        assert (failed.status_code, failed.json()["error"]["type"]) == (503, "server_error")
        assert (await client.get("/health")).status_code == 200
        await client.post("/sim/faults", json={})
        assert (await client.post("/v1/completions", json=QUESTION)).status_code == 200


async def test_an_unknown_fault_changes_nothing(connect):
    async with connect(wrong=True) as client:
        assert (await client.post("/sim/faults", json={"wrnog": False})).status_code == 400
        assert (await client.get("/sim/faults")).json()["wrong"] is True


async def test_wrong_is_well_formed_and_no_answer(connect):
    async with connect(wrong=True) as client:
        response = await client.post("/v1/completions", json=QUESTION)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html"


async def test_a_silently_truncated_stream_ends_without_its_terminal_event(connect):
    async with connect(truncate_after_tokens=3, truncation="silent") as client:
        response = await client.post("/v1/completions", json={**QUESTION, "stream": True})
    assert response.text.count("data: ") == 3
    assert "[DONE]" not in response.text


async def test_a_broken_stream_never_ends_its_body(connect):
    async with connect(truncate_after_tokens=3) as client:
        with pytest.raises(AssertionError):  # httpx's transport asserts that the app ended the body
            await client.post("/v1/completions", json={**QUESTION, "stream": True})


async def test_loading_can_fail_with_a_message():
    with pytest.raises(RuntimeError, match="no such tensor"):
        await factory(["--model", "sim", "--fail-load=no such tensor"])
