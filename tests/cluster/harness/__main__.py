"""`python -m tests.cluster.harness up|down|build`: a cluster to work with, until it is taken down."""

import sys
import time

import click

from . import clusters
from .builds import build, cached
from .cluster import Cluster, Settings
from .errors import HarnessError
from .requirements import lacking, lacking_packages

NAME = click.option("--name", default="dev", show_default=True, help="There may be several, side by side.")


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@NAME
@click.option("--hpa-sync-period", "hpa_sync_period_s", default=15.0, show_default=True, help="Seconds.")
@click.option("--scrape-interval", "scrape_interval_s", default=2.0, show_default=True, help="Seconds.")
def up(name: str, hpa_sync_period_s: float, scrape_interval_s: float) -> None:
    """Start it, unless it runs."""
    binaries = cached()
    found = clusters.find(name, binaries)
    if not found or not found.runs:
        if missing := lacking(binaries):
            raise HarnessError(f"this machine can't hold a cluster: it lacks {'; '.join(missing)}")
        clusters.end_abandoned(binaries, say)
        build(binaries, say)
        say("starting the cluster (half a minute)")
        began_s = time.monotonic()
        found = clusters.make(name, binaries, Settings(hpa_sync_period_s, scrape_interval_s, with_us=False))
        say(f"started in {time.monotonic() - began_s:.0f} s")
    show(found)


@main.command()
@NAME
def down(name: str) -> None:
    """Stop it, and leave nothing of it."""
    found = clusters.find(name, cached())
    if found:
        found.stop()
    say(f"the cluster {name} is stopped" if found else f"no cluster {name} runs")


@main.command(name="build")
def build_all() -> None:
    """Build what is missing."""
    binaries = cached()
    build(binaries, say)
    say(f"all binaries are in {binaries.cache}")


@main.command()
def packages() -> None:
    """Print the Debian packages that are missing."""
    click.echo("\n".join(lacking_packages()))


def show(cluster: Cluster) -> None:
    click.echo(f"export KUBECONFIG={cluster.kubeconfig}")
    click.echo(f"# kubectl:    {cluster.binaries['kubectl']}")
    click.echo(f"# Gateway:    http://{cluster.gateway_address} (projectcontour/gateway)")
    click.echo(f"# Prometheus: {cluster.prometheus_url}")
    click.echo(f"# logs:       {cluster.logs}")


def say(line: str) -> None:
    click.echo(line, err=True)


if __name__ == "__main__":
    try:
        main()
    except HarnessError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
