"""What a person may set for this backend in fs.yaml."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

LOOPBACK = IPv4Address("127.0.0.1")
Port = Annotated[int, Field(ge=0, le=65535)]

RESERVED_PORTS = (range(10002, 20000), range(30000, 31001))
"""What Ray hands out itself: to its workers (`--min-worker-port`) and to replicas (direct ingress)."""


class Options(BaseModel):
    """`address` unset: a Ray cluster of our own on this machine. Set: a cluster that somebody else runs.

    On the latter's nodes this distribution and the engine's must be installed. If Serve is not running there yet, it
    is started with replicas that listen on all addresses of their nodes: put those behind a firewall.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str | None = Field(
        None, description='dashboard of a running cluster, "http://host:8265" or "host:8265"; unset = start one here'
    )
    auth_token_file: Path | None = Field(
        None, description="with `address`: file that holds the cluster's token (`ray get-auth-token` prints it)"
    )
    num_cpus: int | None = Field(
        None, gt=0, description="CPUs that the local cluster may promise to replicas; unset = 4 x cores"
    )
    num_gpus: int | None = Field(None, ge=0, description="GPUs of the local cluster; unset = all that Ray detects")
    dashboard_port: Port = Field(0, description="REST port of the local cluster on 127.0.0.1; 0 = a free one, kept")
    gcs_port: Port = Field(0, description="port of the local cluster's control store; 0 = a free one, kept")
    replica_host: IPv4Address = Field(
        LOOPBACK,
        description="this machine's address that the local cluster's replicas listen on and are found at; one beyond "
        "loopback lets a Gateway's proxies reach them, and whoever else does needs the deployment's key",
    )
    max_ongoing_requests: int | None = Field(
        None, gt=0, description="per replica; unset = max(256, 8 x target_ongoing_requests)"
    )
    max_surge_percent: int = Field(
        100, ge=0, le=100, description="replicas started beyond the count before old ones stop; 0 = stop first"
    )
    drain_timeout_s: float = Field(120.0, ge=10, description="how long a stopping replica may finish its streams")
    startup_timeout_s: float = Field(120.0, gt=0, description="how long the local cluster may take to answer")
    health_check_period_s: float = Field(5.0, gt=0, description="how often Serve asks a replica whether it is well")
    health_check_timeout_s: float = Field(
        10.0, gt=0, description="no answer within it is a failure; the third in a row replaces the replica"
    )

    image: str = Field(
        "finsight-serve:0.1.0-vllm",
        min_length=1,
        description="for `fs plan -o kuberay`: the image of head and workers, as this project's Dockerfile makes it",
    )

    @field_validator("address")
    @classmethod
    def _url(cls, address: str | None) -> str | None:
        if address is None:
            return None
        url = urlsplit(address if "://" in address else f"http://{address}")
        if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.username:
            raise ValueError('must be "http://host:port", "https://host:port" or "host:port"')
        return f"{url.scheme}://{url.hostname}:{url.port or 8265}"

    @field_validator("auth_token_file")
    @classmethod
    def _home(cls, path: Path | None) -> Path | None:
        return path.expanduser() if path else None

    @field_validator("dashboard_port", "gcs_port")
    @classmethod
    def _clear_of_ray(cls, port: int) -> int:
        if any(port in ports for ports in RESERVED_PORTS):
            raise ValueError("must be outside 10002-19999 and 30000-31000, which Ray hands out itself")
        return port

    @field_validator("replica_host")
    @classmethod
    def _one_address(cls, host: IPv4Address) -> IPv4Address:
        if host.is_unspecified or host.is_multicast:
            raise ValueError("must be one address of this machine, since replicas are found at it")
        return host

    @model_validator(mode="after")
    def _fits_the_cluster(self) -> Self:
        if self.auth_token_file is not None and self.address is None:
            raise ValueError("auth_token_file is only for a cluster given by `address`; a local one makes its own")
        if self.replica_host != LOOPBACK and self.address is not None:
            raise ValueError("replica_host is only for a local cluster; one given by `address` has nodes of its own")
        return self
