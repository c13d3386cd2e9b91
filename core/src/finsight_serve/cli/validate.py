"""`fs validate`: everything that can be known to be wrong before anything starts."""

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from .options import backend_option, file_option
from .output import rendered


@click.command(short_help="Check fs.yaml, plugins' options and models")
@file_option
@backend_option
@rendered
def validate(file: Path, backend: str | None) -> object:
    """Check fs.yaml, the options of the plugins it names, and its models. Starts and changes nothing.

    Every problem is one line: file, line, field, what was found, what is allowed.
    """
    from ..host import Host, env_for
    from ..stack import StackErrors, check_stack, load_stack

    host = Host()
    stack = load_stack(file, host, backend=backend)
    with TemporaryDirectory() as scratch:  # an engine is given a folder, and none of the stack's may be made for this
        env = env_for(Path(scratch), owner="", progress=lambda line: click.echo(line, err=True))
        if problems := check_stack(file, stack, host, lambda _deployment: env):
            raise StackErrors(problems)
    return [
        {
            "deployment": deployment.name,
            "model": deployment.model,
            "engine": deployment.engine.plugin,
            "backend": deployment.backend,
            "replicas": f"{deployment.policy.min_replicas}-{deployment.policy.max_replicas}",
            "tenants": ", ".join(tenant.name for tenant in stack.tenants if tenant.deployment == deployment.name),
        }
        for deployment in stack.deployments
    ]
