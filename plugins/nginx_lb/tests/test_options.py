from pathlib import Path

import pytest
from pydantic import ValidationError

from finsight_serve_nginx.options import Options, endpoint_url


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("localhost:80", "http://localhost:80"),
        ("[::1]:9", "http://[::1]:9"),
        ("0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("[::]:8000", "http://[::1]:8000"),
        ("*:8000", "http://127.0.0.1:8000"),
    ],
)
def test_url(listen: str, url: str) -> None:
    assert endpoint_url(Options(listen=listen, allow_plaintext=True)) == url


@pytest.mark.parametrize("listen", ["8000", ":8000", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "a b:1", "x;y:1"])
def test_listen_is_host_and_port(listen: str) -> None:
    with pytest.raises(ValidationError, match="must be host:port"):
        Options(listen=listen, allow_plaintext=True)


@pytest.mark.parametrize("listen", ["0.0.0.0:8000", "*:8000", "10.1.2.3:8000", "[::]:8000", "edge.example:8000"])
def test_beyond_loopback_takes_tls_or_a_flag(listen: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"reachable from other machines.*allow_plaintext: true"):
        Options(listen=listen)
    assert Options(listen=listen, allow_plaintext=True).listen == listen
    tls = Options(listen=listen, tls_certificate=tmp_path / "a", tls_certificate_key=tmp_path / "b")
    assert endpoint_url(tls).startswith("https://")


def test_certificate_and_key_go_together(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="go together"):
        Options(tls_certificate=tmp_path / "a")


def test_a_path_that_nginx_would_read_otherwise_is_refused() -> None:
    with pytest.raises(ValidationError, match="nginx can't take a path"):
        Options(tls_certificate=Path('/a"b'), tls_certificate_key=Path("/c"))


@pytest.mark.parametrize("name", ["x-session-id", "X-Conversation", "session", "X2"])
def test_session_header(name: str) -> None:
    assert Options(session_header=name).session_header == name


@pytest.mark.parametrize("name", ["", "a b", "x_session", "x;y", "$x", "-x", "x-", "x--y", "ü", "x\n", "x:"])
def test_a_session_header_is_a_headers_name(name: str) -> None:
    with pytest.raises(ValidationError, match="must be a header's name"):
        Options(session_header=name)


@pytest.mark.parametrize("name", ["Authorization", "cookie", "X-Request-Id", "X-Finsight-Tenant", "Host"])
def test_a_header_with_another_meaning_is_no_session(name: str) -> None:
    with pytest.raises(ValidationError, match="has a meaning of its own"):
        Options(session_header=name)


@pytest.mark.parametrize("listen", ["", "127.0.0.1:9113", "[::1]:9113", "localhost:9113", "unix:/run/fs/metrics.sock"])
def test_metrics_are_off_or_on_loopback_or_a_socket(listen: str) -> None:
    assert Options(metrics_listen=listen).metrics_listen == listen


@pytest.mark.parametrize(
    ("listen", "message"),
    [
        ("9113", "must be host:port"),
        ("127.0.0.1:0", "must be host:port"),
        ("127.0.0.1:8000", "port 8000 is that of `listen` already"),
        ("unix:metrics.sock", "absolute path without blanks"),
        ("unix:/run/a b.sock", "absolute path without blanks"),
        ("unix:/run/a;b.sock", "can't take a path"),
        (f"unix:/{'x' * 100}", "may have 100 bytes; found 101"),
        ("0.0.0.0:9113", "would show every machine"),
    ],
)
def test_metrics_elsewhere_are_refused(listen: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Options(metrics_listen=listen)


def test_metrics_beyond_loopback_take_the_flag_even_beside_tls(tmp_path: Path) -> None:
    tls = {"tls_certificate": tmp_path / "a", "tls_certificate_key": tmp_path / "b"}
    with pytest.raises(ValidationError, match="would show every machine"):
        Options(metrics_listen="0.0.0.0:9113", **tls)
    options = Options(metrics_listen="[::]:9113", allow_plaintext=True, **tls)
    assert options.ports == {"listen": 8000, "metrics_listen": 9113} and options.metrics_socket is None
    socket = Options(metrics_listen="unix:/run/m.sock")
    assert socket.ports == {"listen": 8000} and socket.metrics_socket == Path("/run/m.sock")
