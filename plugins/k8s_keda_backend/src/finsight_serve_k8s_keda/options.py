"""What a person may set for this backend in fs.yaml."""

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    namespace: str = Field(
        "default",
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        description="where the objects belong; the namespace must exist",
    )
    prometheus: str = Field(
        "http://prometheus-operated.monitoring.svc:9090",
        description="the Prometheus that scrapes the replicas and kube-state-metrics, as KEDA's operator reaches it",
    )
    scrape_interval_s: int = Field(15, gt=0, description="how often that Prometheus scrapes the replicas")
    hpa_tolerance: bool = Field(
        False, description="whether the API server takes a tolerance for each HPA: Kubernetes 1.35 and later"
    )

    @field_validator("prometheus")
    @classmethod
    def _url(cls, address: str) -> str:
        url = urlsplit(address)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
            raise ValueError('must be a URL without a password, as "http://host:9090"')
        return address.rstrip("/")
