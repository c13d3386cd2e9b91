"""A replica's measured capacity as a file: `fs bench capacity --save` writes it, `--service` reads it."""

import json
import math
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import UserError
from .capacity import Capacity


class Measurement(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    service_s: float = Field(gt=0, description="how long a request takes at the measured rate, in seconds, mean")
    max_concurrency: int = Field(ge=1, description="requests in work at a time at that rate")
    cold_start_s: float | None = Field(None, ge=0, description="from ordered to ready; null where it was not measured")
    requests_per_s: float = Field(gt=0, description="the highest rate that held the SLO")
    ongoing: float = Field(ge=0, description="requests running and queued at that rate, mean")
    p99_ttft_s: float = Field(ge=0, description="seconds to the first token at that rate")
    slo_p99_ttft_s: float = Field(gt=0, description="the SLO that it was measured for")
    model: str = Field("", description="the name that the replica served")


def write_measurement(
    path: Path, capacity: Capacity, *, cold_start_s: float | None, p99_ttft_s: float, model: str
) -> None:
    """Raises `OSError`."""
    measurement = Measurement(
        service_s=round(capacity.service_s, 6),
        max_concurrency=max(
            1, math.ceil(capacity.requests_per_s * capacity.service_s)
        ),  # so many take that rate, no more
        cold_start_s=cold_start_s,
        requests_per_s=round(capacity.requests_per_s, 6),
        ongoing=round(capacity.ongoing, 4),
        p99_ttft_s=round(capacity.p99_ttft_s, 6),
        slo_p99_ttft_s=p99_ttft_s,
        model=model,
    )
    path.write_text(json.dumps(measurement.model_dump(), indent=2) + "\n", encoding="utf-8")


def read_measurement(path: Path) -> Measurement:
    """Raises `UserError`."""
    try:
        return Measurement.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no text; `fs bench capacity --save FILE` writes a measurement") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(
            f"{path}: {where}: {first['msg']}; `fs bench capacity --save FILE` writes a measurement"
        ) from None
