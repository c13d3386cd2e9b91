"""`fs validate`: everything that can be known to be wrong before anything starts."""

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from .options import TAKES_BACKEND_FLAGS, backend_flags, backend_option, file_option
from .output import rendered


@click.command(short_help="Check fs.yaml, plugins' options and models", context_settings=TAKES_BACKEND_FLAGS)
@file_option
@backend_option
@backend_flags
@rendered
def validate(file: Path, backend: str | None, backend_flags: tuple[str, ...]) -> object:
    """Check fs.yaml, the options of the plugins it names, and its models. Starts and changes nothing.

    Every problem is one line: file, line, field, what was found, what is allowed.
    """
    from ..host import Host
    from ..stack import load_stack
    from .backend_flags import parse_backend_flags
    from .bringup import check_models, compile_problems, refuse

    host = Host()
    overrides = parse_backend_flags(backend_flags, host.names("orchestrator"))
    stack = load_stack(file, host, backend=backend, overrides=overrides)
    with TemporaryDirectory() as scratch:  # plugins are given folders, and none of the stack's may be made for this
        check_models(file, stack, host, Path(scratch))
        refuse(compile_problems(stack, host, Path(scratch)))
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
