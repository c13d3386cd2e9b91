"""What a user may set under `backends:` for this orchestrator."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Port = Annotated[int, Field(ge=1024, le=65535)]


class LocalOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    ports: dict[str, Port] = Field(
        default_factory=dict,
        description="First port of a deployment (name → port); replica i listens on port + i. A deployment that is not "
        "named gets free ports. With fixed ports a changed replica is stopped before its successor starts.",
    )
    drain_delay_s: float = Field(
        default=3.0,  # on a busy machine a new configuration of the load balancer has taken more than one
        ge=0,
        description="Seconds between saying that a replica drains and telling it to end: time for the load balancer "
        "to send new requests elsewhere.",
    )
    drain_timeout_s: float = Field(
        default=30.0, ge=0, description="Seconds that a replica gets to finish open requests before it is killed."
    )

    @model_validator(mode="after")
    def _one_deployment_per_port(self) -> Self:
        taken: dict[int, str] = {}
        for deployment, port in self.ports.items():
            if port in taken:
                raise ValueError(f"deployments {taken[port]!r} and {deployment!r} are both on port {port}")
            taken[port] = deployment
        return self
