"""What a person may set for this backend in fs.yaml."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from finsight_serve.plugin import KEY_HASHES_ENV, METRICS_KEY_ENV, OPEN_METRICS_ENV

from .quantity import canonical_bytes

LABEL = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
SUBDOMAIN = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OWN_VARIABLES = (KEY_HASHES_ENV, METRICS_KEY_ENV, OPEN_METRICS_ENV)
Name = Annotated[str, Field(pattern=SUBDOMAIN)]
Size = Annotated[str, AfterValidator(canonical_bytes)]
Share = Annotated[int, Field(ge=0, strict=True)] | Annotated[str, Field(pattern=r"^(100|[1-9]?[0-9])%$")]


class Access(BaseModel):
    """How the API server is reached, and where in the cluster the objects belong."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kubeconfig: Path | None = Field(
        None, description="file with the cluster and credentials; unset = $KUBECONFIG, ~/.kube/config, or the pod's own"
    )
    context: str | None = Field(None, description="context of that file; unset = its current one")
    namespace: str = Field("default", pattern=LABEL, description="where the objects belong; it must exist")
    request_timeout_s: float = Field(10.0, gt=0, description="how long one request to the API server may take")

    @field_validator("kubeconfig")
    @classmethod
    def _home(cls, path: Path | None) -> Path | None:
        return path.expanduser() if path else None


class Volume(BaseModel):
    """Something mounted into every replica: exactly one source."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mount_path: str = Field(pattern=r"^/[^:]*$", description="where the replica finds it")
    host_path: str | None = Field(None, pattern=r"^/", description="a folder of the node")
    claim: Name | None = Field(None, description="a PersistentVolumeClaim's name")
    secret: Name | None = Field(None, description="a Secret's name")
    config_map: Name | None = Field(None, description="a ConfigMap's name")
    empty_dir: Size | None = Field(None, description='an empty folder of this size, as "10Gi"')
    read_only: bool = Field(True, description="an empty folder is never read-only")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = (self.host_path, self.claim, self.secret, self.config_map, self.empty_dir)
        if sum(source is not None for source in sources) != 1:
            raise ValueError("must name one of host_path, claim, secret, config_map and empty_dir")
        return self


class Options(Access):
    # the autoscaler
    prometheus: str = Field(
        "http://prometheus-operated.monitoring.svc:9090",
        description="the Prometheus that scrapes the replicas and kube-state-metrics, as KEDA's operator reaches it",
    )
    scrape_interval_s: int = Field(15, gt=0, description="how often that Prometheus scrapes the replicas")
    metrics_key_secret: str | None = Field(
        None,
        pattern=LABEL,
        description="a Secret whose entry `key` is the bearer key with which Prometheus reads GET /metrics of a "
        "replica; unset = whom the NetworkPolicy lets in needs none",
    )
    load_balancer_labels: dict[Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")], str] = Field(
        {},
        description="labels that tell this stack's load balancer from others in that Prometheus; read only where "
        "min_replicas is 0",
    )
    hpa_tolerance: bool = Field(
        False, description="whether the API server takes a tolerance for each HPA: Kubernetes 1.35 and later"
    )
    pod_monitor: bool = Field(False, description="whether to make a PodMonitor, for the Prometheus operator")
    # the image
    image: str | None = Field(None, min_length=1, description="the replicas' image; unset = the engine's own")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="when the kubelet pulls the image"
    )
    image_pull_secrets: tuple[Name, ...] = Field((), description="names of Secrets with a registry's credentials")
    python: str = Field("python3", min_length=1, description="the Python of the image, with which engines start")
    # the pod
    port: int = Field(8000, ge=1024, le=65535, description="where a replica listens, in its pod")
    memory: Size | None = Field(None, description='what a replica requests and may use, as "16Gi"; unset = no limit')
    cpu_limit: float | None = Field(None, gt=0, description="CPUs that a replica may use; unset = what it finds")
    gpu_resource: str = Field("nvidia.com/gpu", description="the resource that GPUs are asked for as")
    env: dict[str, str] = Field({}, description="environment of every replica, beside the engine's own")
    env_from_secrets: tuple[Name, ...] = Field((), description="Secrets whose entries become environment variables")
    volumes: tuple[Volume, ...] = Field((), description="what is mounted into every replica")
    run_as_user: int = Field(1000, ge=1, description="the numeric user that replicas run as")
    service_account_annotations: dict[str, str] = Field({}, description="as a cloud's workload identity wants them")
    node_selector: dict[str, str] = Field({}, description="labels that a node must have")
    tolerations: tuple[dict[str, Any], ...] = Field((), description="taints that replicas tolerate")
    priority_class: Name | None = Field(None, description="a PriorityClass's name")
    # its life
    startup_timeout_s: int = Field(900, gt=0, description="how long a replica may load its model")
    pre_stop_s: int = Field(5, ge=0, description="how long an ending replica still takes requests of who has not heard")
    drain_timeout_s: int = Field(120, gt=0, description="how long an ending replica may finish its streams after that")
    min_available: Share = Field("50%", description="replicas that a drained node must leave; a count or a percentage")
    max_surge: Share = Field("25%", description="replicas started beyond the count while all are replaced")
    # who may reach it
    network_policy: bool = Field(True, description="whether replicas are closed to all but `allow_from`")
    allow_from: tuple[str, ...] = Field(
        (), description="CIDRs and namespaces that may reach replicas, beside this stack's own pods"
    )

    @field_validator("prometheus")
    @classmethod
    def _url(cls, address: str) -> str:
        url = urlsplit(address)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
            raise ValueError('must be a URL without a password, as "http://host:9090"')
        return address.rstrip("/")

    @field_validator("volumes")
    @classmethod
    def _places(cls, volumes: tuple[Volume, ...]) -> tuple[Volume, ...]:
        places = [volume.mount_path for volume in volumes]
        if twice := sorted({place for place in places if places.count(place) > 1}):
            raise ValueError(f"{twice[0]} is mounted twice")
        return volumes

    @field_validator("env")
    @classmethod
    def _variables(cls, env: dict[str, str]) -> dict[str, str]:
        for name in env:
            if not VARIABLE.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a variable")
            if name in OWN_VARIABLES:
                raise ValueError(f"{name} is not set here: it says who may ask a replica")
        return env

    @field_validator("max_surge")
    @classmethod
    def _some(cls, surge: int | str) -> int | str:
        if surge in (0, "0%"):
            raise ValueError("must be more than 0: a replica only goes once another is ready in its place")
        return surge

    @field_validator("allow_from")
    @classmethod
    def _senders(cls, senders: tuple[str, ...]) -> tuple[str, ...]:
        for sender in senders:
            if not is_cidr(sender) and not re.match(LABEL, sender):
                raise ValueError(f'{sender!r} is neither a CIDR, as "10.0.0.0/8", nor the name of a namespace')
        return senders


def is_cidr(text: str) -> bool:
    try:
        return "/" in text and bool(ip_network(text))
    except ValueError:
        return False
