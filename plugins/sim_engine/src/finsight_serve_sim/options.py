"""What the engine can be told, in `engine_options`, on the command line and at run time: one model for all three."""

import argparse
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Faults(BaseModel):
    """What goes wrong with completion requests. /health and /metrics keep answering."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    error_rate: float = Field(
        0.0, ge=0, le=1, description="share of requests answered with error_status, evenly spread"
    )
    error_status: int = Field(500, ge=400, le=599, description="HTTP status of those")
    hang: bool = Field(False, description="accept requests and never answer")
    wrong: bool = Field(False, description="answer 200 with a page that is no OpenAI answer")
    truncate_after_tokens: int | None = Field(None, ge=0, description="end an answer after so many tokens")
    truncation: Literal["broken", "silent"] = Field(
        "broken", description="broken: the HTTP body stays unterminated; silent: it ends well, without [DONE]"
    )
    crash_after_tokens: int | None = Field(None, ge=0, description="kill the process after so many tokens of an answer")


class Options(Faults):
    ttft_s: float = Field(0.0, ge=0, description="time to first token, in seconds")
    token_interval_s: float = Field(0.0, ge=0, description="time per further output token, in seconds")
    batch_token_interval_s: float = Field(
        0.0, ge=0, description="added to it for each other answer under way, as in a larger batch; in seconds"
    )
    output_tokens: int = Field(16, ge=1, description="length of an answer where the request has no max_tokens")
    max_num_seqs: int = Field(256, ge=1, description="answers generated at the same time; further requests wait")
    load_s: float = Field(0.0, ge=0, description="time until the model is loaded, in seconds")
    fail_load: str = Field("", description="die while loading, with this message")
    served_model_name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$",
        description="the name that clients put in `model`, if not the deployment's model",
    )


def format_argv(model: str, options: Options) -> tuple[str, ...]:
    """The command line that `parse_argv` reads; options at their default are left out."""
    changed = options.model_dump(exclude_defaults=True, mode="json")
    return ("--model", model, *(f"{_flag(name)}={_text(value)}" for name, value in changed.items()))


def parse_argv(argv: Sequence[str]) -> tuple[str, Options]:
    """Model name and options. Raises `pydantic.ValidationError`, or `SystemExit` for an unknown argument."""
    given = vars(build_parser().parse_args(argv))
    return given.pop("model"), Options.model_validate(given)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m finsight_serve_sim", allow_abbrev=False, argument_default=argparse.SUPPRESS
    )
    parser.add_argument("--model", default="sim", help="the name that it serves")
    for name, field in Options.model_fields.items():
        if field.annotation is bool:
            parser.add_argument(_flag(name), nargs="?", const="true", help=field.description)
        else:
            parser.add_argument(_flag(name), help=f"{field.description} ({field.default})")
    return parser


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
