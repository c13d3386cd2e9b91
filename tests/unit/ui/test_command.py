"""`fs ui` where it can't or should not begin: one line, exit code 2, nothing changed."""

import socket
from contextlib import closing
from pathlib import Path

import anyio.lowlevel
import pytest
from click.testing import CliRunner

from finsight_serve.cli.main import cli
from finsight_serve.errors import UserError
from finsight_serve.ui.guard import Hosts
from finsight_serve.ui.listener import bind, port_of

from ..cli.served import Served


def test_without_a_stack_it_says_what_to_do(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["ui", "--state", str(tmp_path / "none")])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"fs: {tmp_path}/none: nothing was served from this state folder yet; start with `fs serve`\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_a_line(served: Served) -> None:
    with closing(bind("127.0.0.1", 0)) as taken:
        port = port_of(taken)
        line = served.refused("ui", "--port", str(port))
    assert line.startswith(f"fs: --port: {port} is in use by ") and line.endswith("0 for any that is free")


def test_an_address_that_others_reach_needs_a_flag(served: Served) -> None:
    for address in ("0.0.0.0", "::", "192.0.2.1", "a-name"):
        line = served.refused("ui", "--listen", address, "--port", "0")
        assert f"whoever reaches {address} could read" in line and "--allow-remote" in line


def test_an_address_that_is_not_of_this_machine(served: Served) -> None:
    line = served.refused("ui", "--listen", "192.0.2.1", "--port", "0", "--allow-remote")
    assert line.startswith("fs: --listen: nothing can listen on 192.0.2.1:0 (")


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_no_port(served: Served, port: str) -> None:
    result = served.fs("ui", "--port", port)
    assert result.exit_code == 2 and "--port" in result.stderr and result.stdout == ""


def test_it_listens_prints_its_address_and_warns_where_others_may_read(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Hosts] = []

    async def serve_page(folder: Path, listener: socket.socket, hosts: Hosts, clock: object) -> None:
        assert folder == served.folder and port_of(listener) == hosts.port
        listener.close()
        heard.append(hosts)
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr("finsight_serve.ui.serving.serve_page", serve_page)
    result = served.fs("ui", "--port", "0")
    assert result.exit_code == 0 and result.stdout == f"http://127.0.0.1:{heard[0].port}/\n"
    assert "key" not in result.stderr and not heard[0].is_remote
    result = served.fs("ui", "--port", "0", "--listen", "0.0.0.0", "--allow-remote")
    assert "there is no key" in result.stderr and heard[1].is_remote


def test_a_free_port_is_found_on_ipv6_too() -> None:
    try:
        listener = bind("::1", 0)
    except UserError:
        pytest.skip("this machine has no IPv6 loopback")
    with closing(listener):
        assert Hosts(port_of(listener), "::1").url == f"http://[::1]:{port_of(listener)}/"
