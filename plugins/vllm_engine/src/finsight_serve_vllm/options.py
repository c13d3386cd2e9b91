"""`engine_options`: any argument of vLLM's server, by its own name, except those that FinSight Serve sets itself."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import AliasChoices, AliasGenerator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

_ADDRESS = "the backend chooses where a replica listens"
_TLS = "TLS ends at the load balancer: set it there"
_ONE_SERVER = "a replica is one HTTP server: set the deployment's policy instead"
_PRIVATE = "prompts and completions must not reach a log"
RESERVED: Mapping[str, str] = {
    "host": _ADDRESS,
    "port": _ADDRESS,
    "uds": _ADDRESS,
    "root_path": _ADDRESS,
    "api_key": "replicas are guarded by a key of the deployment's own",
    "model": "write it as the deployment's `model`",
    "model_tag": "write it as the deployment's `model`",
    "config": "write the options here, so that they can be checked",
    "api_server_count": _ONE_SERVER,
    "headless": _ONE_SERVER,
    "grpc": _ONE_SERVER,
    "ssl_keyfile": _TLS,
    "ssl_certfile": _TLS,
    "ssl_ca_certs": _TLS,
    "ssl_cert_reqs": _TLS,
    "ssl_ciphers": _TLS,
    "enable_ssl_refresh": _TLS,
    "enable_log_requests": _PRIVATE,
    "enable_log_outputs": _PRIVATE,
}
CPU_DEFAULTS: Mapping[str, Any] = {
    "enforce_eager": True,  # compiling takes minutes and gains little
    "max_model_len": 2048,
    "gpu_memory_utilization": 0.3,  # despite its name it bounds CPU memory; vLLM's 0.92 refuses to start
}


def _both_spellings(name: str) -> AliasChoices:
    return AliasChoices(name, name.replace("_", "-"))


class Options(BaseModel):
    model_config = ConfigDict(
        extra="allow", frozen=True, alias_generator=AliasGenerator(validation_alias=_both_spellings)
    )

    device: Literal["auto", "cpu", "gpu"] = Field(
        "auto",
        description="what a replica computes on: auto = what the vLLM of this machine is built for, and a GPU where "
        "none is installed; not an argument of vLLM's",
    )
    num_cpus: int = Field(1, ge=1, description="cores per replica where there is no GPU; not an argument of vLLM's")
    tensor_parallel_size: int = Field(1, ge=1, description="GPUs that share each layer")
    pipeline_parallel_size: int = Field(1, ge=1, description="groups of GPUs that share the layers out")
    revision: str | None = Field(None, description="a hub model's commit: 40 hex digits")
    served_model_name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$",
        description="the name that clients put in `model`, if not the one that follows from the deployment's model",
    )

    @model_validator(mode="before")
    @classmethod
    def refuse_reserved(cls, given: Any) -> Any:
        """One error per reserved name, each at its own name, so that a file's line can be found."""
        names = [name for name in given if str(name).replace("-", "_") in RESERVED] if isinstance(given, dict) else []
        if names:
            errors = [_reserved(name, given[name]) for name in names]
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return given

    @property
    def given(self) -> Mapping[str, Any]:
        """vLLM's arguments as the user spelt them, without those that `launch` writes itself."""
        return self.model_dump(exclude_unset=True, exclude={"device", "num_cpus", "served_model_name"})

    def arguments(self, defaults: Mapping[str, Any]) -> Mapping[str, Any]:
        """vLLM's arguments, under its own names with underscores; what the user wrote wins over `defaults`."""
        return {**defaults, **{name.replace("-", "_"): value for name, value in self.given.items()}}


def format_argv(options: Mapping[str, Any]) -> tuple[str, ...]:
    """vLLM's command line: `max_model_len: 2048` → `--max-model-len=2048`; None is left out."""
    return tuple(word for name, value in options.items() for word in _format_option(name, value))


def _format_option(name: str, value: Any) -> tuple[str, ...]:
    first, dot, path = name.partition(".")  # `hf_overrides.rope_theta`: only the part before the dot is vLLM's own
    flag = first.replace("_", "-") + dot + path
    match value:
        case None:
            return ()
        case bool():
            return (f"--{flag}" if value else f"--no-{flag}",)
        case list() | tuple():
            return (f"--{flag}", *(_format_value(item) for item in value))
        case _:
            return (f"--{flag}={_format_value(value)}",)


def _format_value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _reserved(name: str, value: Any) -> InitErrorDetails:
    reason = RESERVED[name.replace("-", "_")]
    kind = PydanticCustomError("reserved_option", "is not set here: {reason}", {"reason": reason})
    return InitErrorDetails(type=kind, loc=(name,), input=value)
