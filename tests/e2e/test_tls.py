"""TLS from certificate files."""

import ssl
import subprocess
from pathlib import Path
from shutil import which

import httpx
import pytest

from .stand import Stand


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Self-signed, for 127.0.0.1: (certificate, key)."""
    if not which("openssl"):
        pytest.skip("openssl is not installed")
    certificate, key = folder / "tls.crt", folder / "tls.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=stand", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
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
