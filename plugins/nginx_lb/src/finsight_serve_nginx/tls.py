"""What is wrong with a certificate, found before nginx is asked to load it; and when it runs out."""

import ssl
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from finsight_serve.plugin import Problem

from .options import Options


def tls_problems(options: Options) -> Iterator[Problem]:
    """Missing files, and files that are no certificate, no key, or do not belong together."""
    certificate, key = options.tls_certificate, options.tls_certificate_key
    if certificate is None or key is None:
        return
    missing = [
        Problem(f"{path} does not exist", "write the PEM file there, or correct the path", field)
        for field, path in (("tls_certificate", certificate), ("tls_certificate_key", key))
        if not path.is_file()
    ]
    yield from missing
    if not missing:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
        except (ssl.SSLError, OSError) as error:
            reason = getattr(error, "reason", None) or error.strerror or str(error)
            what = f"{certificate} and {key} can't be used for TLS ({reason})"
            yield Problem(what, "give a certificate in PEM and its own unencrypted key", "tls_certificate")


def certificate_ends_s(certificate: Path | None) -> float | None:
    """Unix time; None without a certificate, or for one that can't be read."""
    try:
        return _ends_s(certificate, certificate.stat().st_mtime_ns) if certificate else None
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=4)
def _ends_s(certificate: Path, _: int) -> float:
    """Of the first in the file, which is the endpoint's own; read anew when the file has changed."""
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc.timestamp()


def _no_password() -> str:
    """nginx would ask for a passphrase at a terminal that it does not have."""
    return ""
