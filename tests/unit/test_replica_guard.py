import hashlib

import httpx
import pytest

from finsight_serve.plugin import KEY_HASHES_ENV, METRICS_KEY_ENV, OPEN_METRICS_ENV
from finsight_serve.replica_guard import ReplicaGuard, guard

pytestmark = pytest.mark.anyio


async def app(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@pytest.fixture
def client() -> httpx.AsyncClient:
    guarded = ReplicaGuard(app, [digest("old"), digest("new").upper()])
    return httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://replica")


@pytest.mark.parametrize("authorization", ["Bearer old", "bearer new", "Bearer  new"])
async def test_any_accepted_key_opens(client, authorization):
    response = await client.post("/v1/chat/completions", headers={"Authorization": authorization})
    assert (response.status_code, response.text) == (200, "inside")


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic new", "new", "Bearer new x"])
@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/docs", "/health/", "/healthz", "//health"])
async def test_everything_else_is_401_in_openais_shape(client, path, authorization):
    response = await client.get(path, headers={"Authorization": authorization} if authorization else {})
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert response.headers["www-authenticate"] == "Bearer"


async def test_two_keys_in_one_request_are_none(client):
    headers = [("Authorization", "Bearer wrong"), ("Authorization", "Bearer new")]
    assert (await client.get("/v1/models", headers=headers)).status_code == 401


@pytest.mark.parametrize("keys", ["new,wrong", "wrong,old", ",".join(["wrong"] * 63 + ["new"])])
async def test_of_several_keys_one_opens(client, keys):
    assert (await client.get("/v1/models", headers={"Authorization": f"Bearer {keys}"})).status_code == 200


@pytest.mark.parametrize("keys", ["wrong,worse", ",", "ne,w", "new;old", ",".join(["wrong"] * 64 + ["new"])])
async def test_of_several_keys_none_opens(client, keys):
    assert (await client.get("/v1/models", headers={"Authorization": f"Bearer {keys}"})).status_code == 401


async def test_health_is_open_to_get_only(client):
    assert (await client.get("/health")).status_code == 200
    assert (await client.post("/health")).status_code == 401


async def test_a_websocket_without_a_key_is_closed_before_it_opens():
    sent = []

    async def send(message) -> None:
        sent.append(message)

    await ReplicaGuard(app, [digest("k")])({"type": "websocket", "path": "/v1/realtime", "headers": []}, None, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_without_hashes_there_is_no_guard(monkeypatch):
    monkeypatch.delenv(KEY_HASHES_ENV, raising=False)
    assert guard(app) is app
    monkeypatch.setenv(KEY_HASHES_ENV, "")
    assert guard(app) is app


@pytest.mark.parametrize("value", ["hello", ",", digest("k") + ",", "x" * 64])
def test_a_malformed_setting_opens_nothing(monkeypatch, value):
    monkeypatch.setenv(KEY_HASHES_ENV, value)
    with pytest.raises(ValueError, match=KEY_HASHES_ENV):
        guard(app)


async def status(guarded, method: str, path: str, key: str = "") -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://replica") as client:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return (await client.request(method, path, headers=headers)).status_code


async def test_a_key_for_metrics_opens_get_metrics_alone(monkeypatch):
    monkeypatch.setenv(KEY_HASHES_ENV, digest("new"))
    monkeypatch.setenv(METRICS_KEY_ENV, "scrape")
    guarded = guard(app)
    assert await status(guarded, "GET", "/metrics", "scrape") == await status(guarded, "GET", "/metrics", "new") == 200
    for method, path in (("POST", "/metrics"), ("GET", "/v1/models"), ("GET", "/metrics/"), ("POST", "/health")):
        assert await status(guarded, method, path, "scrape") == 401
    assert await status(guarded, "GET", "/metrics") == await status(guarded, "GET", "/metrics", "wrong") == 401


@pytest.mark.parametrize(("value", "answer"), [("1", 200), ("", 401), ("0", 401), ("true", 401)])
async def test_metrics_are_open_only_if_it_is_said_so(monkeypatch, value, answer):
    monkeypatch.setenv(KEY_HASHES_ENV, digest("new"))
    monkeypatch.setenv(OPEN_METRICS_ENV, value)
    guarded = guard(app)
    assert await status(guarded, "GET", "/metrics") == answer
    assert await status(guarded, "POST", "/metrics") == await status(guarded, "GET", "/v1/models") == 401
