import os
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from finsight_serve.testing.waiting import wait_for

from ...certificates import write_self_signed
from .edge import Edge
from .upstream import says

pytestmark = pytest.mark.anyio
GOOD_FOR_S = 86400.0  # as `write_self_signed` makes them


def make_certificate(folder: Path, name: str) -> None:
    """Replaced as certificate tools do it: a new file renamed over the old one."""
    key, certificate = folder / "new.key", folder / "new.pem"
    write_self_signed(name, certificate, key)
    key.replace(folder / "tls.key")
    certificate.replace(folder / "tls.pem")


@pytest.fixture
async def edge(state_dir: Path, tmp_path: Path) -> AsyncIterator[Edge]:
    make_certificate(tmp_path, "first")
    edge = Edge(state_dir, tls_certificate=tmp_path / "tls.pem", tls_certificate_key=tmp_path / "tls.key")
    yield edge
    await edge.close()


def served(edge: Edge) -> str:
    """The PEM of the certificate that a new connection is shown."""
    host, port = edge.options.listen.split(":")
    return ssl.get_server_certificate((host, int(port)))


async def test_a_changed_certificate_is_taken_up_and_a_broken_one_is_not(edge: Edge, tmp_path: Path) -> None:
    await edge.upstream(says(200, "up"))
    await edge.apply()
    assert edge.plugin.url.startswith("https://")
    async with edge.http(verify=False) as http:
        assert (await http.get("/v1/models")).json() == "up"
    first = served(edge)
    master = edge.family().master
    snapshots = edge.plugin.observe()
    ends_s = (await anext(snapshots)).certificate_ends_s
    assert ends_s is not None and abs(ends_s - time.time() - GOOD_FOR_S) < 600

    async def changed() -> bool:
        await edge.plugin._upkeep.tend()
        return served(edge) != first

    make_certificate(tmp_path, "second")
    await wait_for(changed)
    second = served(edge)
    (tmp_path / "tls.pem").write_text("nothing")

    async def complained() -> bool:
        await edge.plugin._upkeep.tend()
        return any("certificate is not used" in line for line in edge.said)

    await wait_for(complained)
    assert served(edge) == second
    assert edge.family().master == master
    await snapshots.aclose()  # type: ignore[attr-defined]


async def test_missing_files_are_named(edge: Edge, tmp_path: Path) -> None:
    os.unlink(tmp_path / "tls.key")
    [problem] = edge.plugin.check()
    assert (problem.field, problem.message) == ("tls_certificate_key", f"{tmp_path / 'tls.key'} does not exist")


async def test_a_key_of_another_certificate_is_named_before_nginx_starts(tmp_path: Path, state_dir: Path) -> None:
    make_certificate(tmp_path, "first")
    foreign = tmp_path / "foreign.key"
    (tmp_path / "tls.key").rename(foreign)
    make_certificate(tmp_path, "second")
    edge = Edge(state_dir, tls_certificate=tmp_path / "tls.pem", tls_certificate_key=foreign)
    (problem,) = edge.plugin.check()
    assert problem.field == "tls_certificate" and "KEY_VALUES_MISMATCH" in problem.message
    await edge.close()


async def test_a_certificate_that_is_none_is_named_before_nginx_starts(tmp_path: Path, state_dir: Path) -> None:
    make_certificate(tmp_path, "first")
    (tmp_path / "tls.pem").write_text("no certificate")
    edge = Edge(state_dir, tls_certificate=tmp_path / "tls.pem", tls_certificate_key=tmp_path / "tls.key")
    (problem,) = edge.plugin.check()
    assert str(tmp_path / "tls.pem") in problem.message and "can't be used for TLS" in problem.message
    await edge.close()
