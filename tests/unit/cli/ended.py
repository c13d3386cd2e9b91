"""A state folder in which a stack was served, and whose controller has ended; `fs`, run on it."""

from pathlib import Path

from click.testing import CliRunner, Result

from finsight_serve.cli.bringup import issue_missing_keys
from finsight_serve.cli.main import cli
from finsight_serve.cli.stored import stored_state
from finsight_serve.controller.facts import StackChosen
from finsight_serve.controller.session import hold, record
from finsight_serve.controller.state import Durable
from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.domain.health import HealthRules
from finsight_serve.plugin import Launch
from finsight_serve.processes import SystemClock
from finsight_serve.stack.values import Deployment, PluginRef, Stack, Tenant

PLUGIN = PluginRef("a-plugin")
DEPLOYMENTS = tuple(Deployment(name, "a-model", PLUGIN, "here", AutoscalingPolicy()) for name in ("chat", "code"))
STACK = Stack("small", {"here": PLUGIN}, PLUGIN, PLUGIN, HealthRules(), DEPLOYMENTS, (Tenant("default", "chat"),))


def serve_once(folder: Path) -> None:
    names = [deployment.name for deployment in DEPLOYMENTS]
    with hold(folder) as held:
        issue_missing_keys(held, STACK, SystemClock())
        chosen = StackChosen(
            STACK,
            {name: Launch(("serve",), "module:app") for name in names},
            {name: "a-model" for name in names},
            {name: ("one", "two") for name in names},
        )
        record(held, chosen, SystemClock())


def run(*argv: str) -> Result:
    return CliRunner().invoke(cli, argv)


def done(*argv: str) -> Result:
    result = run(*argv)
    assert result.exit_code == 0, result.stderr
    return result


def durable(folder: Path) -> Durable:
    return stored_state(folder).durable
