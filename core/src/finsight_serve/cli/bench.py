"""`fs bench`: what a replica can do, measured."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UserError
from .options import check_writable
from .output import Section, rendered

if TYPE_CHECKING:
    from ..lab.capacity import Capacity


@click.group(short_help="Measure what one replica can do")
def bench() -> None:
    """Measurements that `fs simulate`, `fs policy lint` and `fs policy tune` read."""


@bench.command(short_help="Find the rate that one replica holds within its SLO")
@click.option("--url", required=True, metavar="URL", help="One replica, or an endpoint with one replica behind it.")
@click.option("--model", required=True, help="The name that it serves.")
@click.option("--slo", required=True, metavar="LIMIT", help="What must hold, as 'p99_ttft_s<=1'.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A file with the API key. [default: the environment variable FS_API_KEY]",
)
@click.option("--step-s", default=30.0, show_default=True, type=click.FloatRange(min=0.1), help="Length of a step.")
@click.option(
    "--max-rate", default=1000.0, show_default=True, type=click.FloatRange(min=0.001), help="Requests/s to stop at."
)
@click.option("--prompt-words", default=100, show_default=True, type=click.IntRange(1), help="Words in a prompt.")
@click.option("--output-tokens", default=64, show_default=True, type=click.IntRange(1), help="Tokens in an answer.")
@click.option(
    "--timeout-s", default=120.0, show_default=True, type=click.FloatRange(min=0.1), help="When a request has failed."
)
@click.option(
    "--cold-start-s",
    type=click.FloatRange(min=0),
    help="From ordered to ready, where you know it; it is written into the measurement.",
)
@click.option("--seed", default=0, show_default=True, help="Of the arrivals.")
@click.option(
    "--save", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a file for `--service`."
)
@rendered
def capacity(
    url: str,
    model: str,
    slo: str,
    key_file: Path | None,
    step_s: float,
    max_rate: float,
    prompt_words: int,
    output_tokens: int,
    timeout_s: float,
    cold_start_s: float | None,
    seed: int,
    save: Path | None,
) -> object:
    """Send streams at random times (Poisson), faster and faster until the SLO breaks, then close in on the rate.

    The key is read from a file or from FS_API_KEY, never from the command line, which other users can see.
    """
    import os

    import anyio

    from ..lab.asking import Endpoint, SteadyClock, connect
    from ..lab.capacity import measure
    from ..lab.limits import parse_limit
    from ..lab.measurement import write_measurement

    limit = parse_limit(slo, ("p99_ttft_s",))
    if limit.relation != "<=" or limit.value <= 0:
        raise UserError(f"--slo: write p99_ttft_s<=SECONDS, greater than 0, found {slo}")
    if save is not None:
        check_writable(save)
    key = key_file.read_text().strip() if key_file else os.environ.get("FS_API_KEY", "")
    endpoint = Endpoint(url.rstrip("/").removesuffix("/v1"), model, key, prompt_words, output_tokens, timeout_s)

    async def run() -> "Capacity":
        clock = SteadyClock()
        async with connect(endpoint, clock) as ask:
            return await measure(
                ask,
                clock,
                p99_ttft_s=limit.value,
                step_s=step_s,
                most_rps=max_rate,
                seed=seed,
                report=lambda line: click.echo(line, err=True),
            )

    found = anyio.run(run)
    if save is not None:
        write_measurement(save, found, cold_start_s=cold_start_s, p99_ttft_s=limit.value, model=model)
        click.echo(f"written to {save}: give it to --service", err=True)
    return sections(found, max_rate)


def sections(found: "Capacity", max_rate: float) -> list[Section]:
    at_most = "at least (--max-rate held)" if found.requests_per_s >= max_rate else ""
    return [
        Section(
            "capacity of one replica",
            {
                "requests_per_s": round(found.requests_per_s, 4),
                "requests_per_day": round(found.requests_per_s * 86400),
                **({"note": at_most} if at_most else {}),
                "p99_ttft_s": round(found.p99_ttft_s, 4),
                "ongoing": round(found.ongoing, 2),
                "peak_ongoing": found.peak_ongoing,
                "suggested target_ongoing_requests": found.suggested_target,
                "service_s": round(found.service_s, 4),
                "service_s alone": round(found.lone_service_s, 4),
                "p99_ttft_s alone": round(found.lone_ttft_s, 4),
            },
        )
    ]
