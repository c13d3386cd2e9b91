"""The health probe by itself: one token within 10 s; two failures in a row and the verdict is "evict".

    python serving/health_probe.py http://127.0.0.1:8000 --model smollm2

It asks as FinSight Serve's controller does, with the same code, and prints a line for each try. The key is taken from
the environment variable FS_API_KEY. Exit code 0: healthy; 1: evict; 2: it could not be asked.

Run by itself it sees no token counter, so it can't excuse a replica that is merely busy, as the controller does.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import click

from finsight_serve.domain.health import HealthRules, ReplicaHealth, judge
from finsight_serve.host import Host, env_for
from finsight_serve.plugin import HealthProbe, Replica

STOCK = HealthRules()


@click.command()
@click.argument("url")
@click.option("--model", required=True, help="The name that the engine serves.")
@click.option("--key", envvar="FS_API_KEY", default="", help="The bearer key. [env: FS_API_KEY]")
@click.option("--timeout-s", default=10.0, show_default=True, type=click.FloatRange(min=0, min_open=True))
@click.option("--failures", default=STOCK.failures_before_eviction, show_default=True, type=click.IntRange(1))
@click.option("--period-s", default=STOCK.period_s, show_default=True, type=click.FloatRange(min=0))
def main(url: str, model: str, key: str, timeout_s: float, failures: int, period_s: float) -> None:
    """Probe the engine at URL (http://host:port) until it answers well, or has failed too often in a row."""
    replica = Replica("probed", "", address(url), "ready")
    with tempfile.TemporaryDirectory() as folder:
        env = env_for(Path(folder), owner="", progress=click.echo)
        probe = Host().build("health_probe", "one-token", {"timeout_s": timeout_s}, env)
        rules = HealthRules(period_s=period_s, failures_before_eviction=failures)
        sys.exit(anyio.run(watch, probe, replica, model, key, rules))


async def watch(probe: HealthProbe, replica: Replica, model: str, key: str, rules: HealthRules) -> int:
    health = ReplicaHealth()
    while True:
        verdict = await probe.probe(replica, model, key)
        health = judge(health, verdict, tokens_moved=False, now_s=0.0)
        click.echo("\n".join(describe(health, rules)))
        if health.failures == 0:
            return 0
        if health.failures >= rules.failures_before_eviction:
            return 1
        await anyio.sleep(rules.period_s)


def describe(health: ReplicaHealth, rules: HealthRules) -> Iterator[str]:
    if health.failures == 0:
        yield "ok: healthy"
        return
    yield f"{health.verdict}: {health.failures} of {rules.failures_before_eviction} in a row"
    if health.failures >= rules.failures_before_eviction:
        yield "evict"


def address(url: str) -> str:
    """ "http://host:port/…" → "host:port"."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise click.UsageError(f"{url}: must be http://host:port")
    return parts.netloc


if __name__ == "__main__":
    main()
