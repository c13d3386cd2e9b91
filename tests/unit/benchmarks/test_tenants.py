"""How the tenants benchmark sets up what it measures."""

import hashlib
from pathlib import Path

import pytest
from benchmarks import peers
from benchmarks.contenders import rotated
from benchmarks.cores import Cores, split_cores
from benchmarks.generator import _lua
from benchmarks.load import Target
from benchmarks.static import answer
from benchmarks.tenanted import KEYS_USED, WEIGHTS, Ours, route_table, tenants


def test_each_tenant_has_a_key_three_limits_and_weights() -> None:
    some = tenants(3)
    table = route_table(some, ["127.0.0.1:1", "127.0.0.1:2"], weights=WEIGHTS)
    assert [route.key_sha256 for route in table.routes] == [
        (hashlib.sha256(tenant.key.encode()).hexdigest(),) for tenant in some
    ]
    assert all(None not in vars(route.limits).values() and route.weights == WEIGHTS for route in table.routes)
    assert len(table.replicas) == 2 * len(WEIGHTS)


@pytest.mark.parametrize("count", [1, 5, 1000])
def test_the_load_cycles_through_as_many_keys_at_each_size(count: int) -> None:
    some = tenants(count)
    target = Ours(None, "127.0.0.1:1").target("ours", some)  # type: ignore[arg-type]
    used = [target.key, *target.more_keys]
    assert len(used) == KEYS_USED and set(used) <= {tenant.key for tenant in some}
    assert len(set(used)) == min(count, KEYS_USED)


def test_the_static_answer_can_stand_in_nginx_s_configuration() -> None:
    assert "'" not in answer() and "$" not in answer()


def test_cores_are_shared_out_once() -> None:
    cores = split_cores()
    assert not cores.load & cores.routers
    assert Cores(frozenset(), frozenset()).workers == 1


@pytest.mark.parametrize("peer", peers.ALL, ids=lambda peer: peer.name)
def test_a_peer_is_pinned_and_kept_by_its_version(peer: peers.Peer) -> None:
    assert peer.requirement.endswith(f"=={peer.version}")
    assert f"{peer.name}-{peer.version}" in peer.folder.name


def test_a_peer_that_can_not_be_installed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers.platformdirs, "user_cache_path", lambda *_, **__: tmp_path)
    missing = tmp_path / "no-such-wheel-1.0-py3-none-any.whl"
    with (
        pytest.raises(peers.PeerError, match="not installed: "),
        peers.running(peers.Peer("nothing", "1.0", str(missing), ""), [], tmp_path / "run", workers=1),
    ):
        raise AssertionError("it runs")


def test_keys_are_formatted_once_each() -> None:
    script = _lua(Target("x", "127.0.0.1:1", "sim", "one", ("two",)), {"prompt": "a\n"})
    assert '{"one", "two"}' in script and r"a\\n" in script


def test_each_round_begins_with_another() -> None:
    rounds = [rotated(["a", "b", "c"], number) for number in range(4)]
    assert rounds == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]
