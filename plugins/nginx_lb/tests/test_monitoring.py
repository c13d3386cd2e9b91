"""Where Prometheus reads nginx, and until when its certificate holds."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from finsight_serve.domain import ScrapeJob
from finsight_serve.testing import make_env
from finsight_serve_nginx.options import Options
from finsight_serve_nginx.plugin import NginxLoadBalancer
from finsight_serve_nginx.tls import certificate_ends_s

BEGINS, ENDS = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def self_signed() -> bytes:
    key, nobody = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    made = x509.CertificateBuilder(nobody, nobody, key.public_key(), 1, BEGINS, ENDS).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ({"metrics_listen": "127.0.0.1:9145"}, "127.0.0.1:9145"),
        ({"metrics_listen": "[::1]:9145"}, "[::1]:9145"),
        ({"metrics_listen": "0.0.0.0:9145", "allow_plaintext": True}, "127.0.0.1:9145"),
        ({"metrics_listen": "unix:/run/fs.sock"}, None),
        ({}, None),
    ],
)
def test_where_the_metrics_are_read(tmp_path: Path, given: dict[str, Any], target: str | None) -> None:
    found = NginxLoadBalancer(Options(**given), make_env(tmp_path)).scrape_jobs()
    assert found == ((ScrapeJob("nginx", {"static_configs": [{"targets": [target]}]}),) if target else ())


def test_a_certificate_says_when_it_ends_and_is_read_again_when_it_is_another(tmp_path: Path) -> None:
    certificate = tmp_path / "c.pem"
    certificate.write_bytes(self_signed() + self_signed())  # the endpoint's own, and the one that vouches for it
    assert certificate_ends_s(certificate) == ENDS.timestamp()
    certificate.write_text("none")
    os.utime(certificate, (1, 1))
    assert certificate_ends_s(certificate) is None


def test_without_a_certificate_nothing_ends(tmp_path: Path) -> None:
    assert certificate_ends_s(None) is None
    assert certificate_ends_s(tmp_path / "gone.pem") is None
