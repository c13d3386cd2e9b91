"""TLS from certificate files."""

import ssl
from pathlib import Path

import httpx

from ..certificates import write_self_signed
from .stand import Stand


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Self-signed, for 127.0.0.1: (certificate, key)."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    write_self_signed("stand", certificate, key)
    return certificate, key


def test_https(stand: Stand) -> None:
    certificate, key = make_certificate(stand.folder)
    stand.write(balancer={"tls_certificate": str(certificate), "tls_certificate_key": str(key)})
    serving = stand.serve()
    stand.url = stand.url.replace("http://", "https://")
    assert f"  URL    {stand.url}/v1" in serving.output
    trusted = ssl.create_default_context(cafile=str(certificate))
    with stand.client(verify=trusted) as client:
        assert client.models.list().data
    plain = httpx.get(stand.url.replace("https://", "http://"), trust_env=False)
    assert plain.status_code == 400
    stand.fs("down")


def test_beyond_loopback_without_tls_needs_a_flag(stand: Stand) -> None:
    stand.write(balancer={"listen": f"0.0.0.0:{stand.port}"})
    done = stand.fs("serve")
    assert done.returncode == 2
    assert "allow_plaintext" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_certificate_that_is_missing(stand: Stand) -> None:
    missing = stand.folder / "none.crt"
    stand.write(balancer={"tls_certificate": str(missing), "tls_certificate_key": str(missing)})
    done = stand.fs("serve")
    assert done.returncode == 2
    assert f"{missing} does not exist" in done.stderr
    stand.assert_nothing_runs()


def test_a_certificate_that_is_none(stand: Stand) -> None:
    certificate, key = stand.folder / "tls.crt", stand.folder / "tls.key"
    certificate.write_text("no certificate")
    key.write_text("no key")
    stand.write(balancer={"tls_certificate": str(certificate), "tls_certificate_key": str(key)})
    done = stand.fs("serve")
    assert done.returncode == 2, done.stdout
    assert str(certificate) in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    stand.assert_nothing_runs()
