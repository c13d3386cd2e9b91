"""What a person may set for this load balancer in fs.yaml."""

from typing import Literal, Self

from pydantic import Field, model_validator

from ..options import LABEL, Access

SEGMENT = LABEL.strip("^$")
HOST_PORT = r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$"
TENANT = "{tenant}"


class Options(Access):
    form: Literal["routes", "ingress"] = Field(
        "routes", description="HTTPRoutes of the Gateway API, or Ingresses with ingress-nginx's canary annotations"
    )
    gateway: str | None = Field(
        None, pattern=f"^{SEGMENT}/{SEGMENT}$", description='the Gateway that the routes join, as "namespace/name"'
    )
    listener: str | None = Field(None, pattern=LABEL, description="one listener of it; unset = every one that admits")
    ingress_class: str | None = Field(None, pattern=LABEL, description="who serves the Ingresses; unset = the default")
    address: str | None = Field(
        None, pattern=HOST_PORT, description='"host:port" where the Gateway or the Ingresses are reached'
    )
    hostname: str | None = Field(
        None, description='a tenant\'s own, as "{tenant}.llm.example.com"; unset = by the header x-finsight-tenant'
    )
    service_annotations: dict[str, str] = Field(
        {}, description="annotations of the Services that are made, for a controller that reads its settings there"
    )
    accept_timeout_s: float = Field(
        30.0, gt=0, description="how long the Gateway's controller may leave all new routes unanswered"
    )
    propagation_s: float = Field(
        1.0, ge=0, description="how long its proxies may take to hear of a change that was accepted"
    )
    proxy_selector: dict[str, str] = Field(
        {}, description="labels of the Gateway's own pods, in its namespace; set = they are closed to all but the edge"
    )
    edge_selector: dict[str, str] = Field({}, description="labels of the edge's pods, in `namespace`")
    edge_cidrs: tuple[str, ...] = Field((), description="addresses of an edge outside the cluster, as CIDRs")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.hostname is not None and self.hostname.count(TENANT) != 1:
            raise ValueError(f"hostname must contain {TENANT} once")
        if self.proxy_selector and not (self.edge_selector or self.edge_cidrs):
            raise ValueError(
                "proxy_selector closes the Gateway, so edge_selector or edge_cidrs must say who may reach it"
            )
        if self.proxy_selector and self.gateway is None:
            raise ValueError("proxy_selector needs the namespace that `gateway` names")
        return self

    @property
    def gateway_namespace(self) -> str:
        return (self.gateway or "/").split("/")[0]

    @property
    def gateway_name(self) -> str:
        return (self.gateway or "/").split("/")[1]
