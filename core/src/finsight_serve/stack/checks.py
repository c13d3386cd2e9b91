"""What only the engines know: whether a model and its options will do."""

from collections.abc import Callable
from pathlib import Path as File

from ..env import Env
from ..host import Host, PluginError
from .document import Document, read_document
from .problem import Path, StackProblem
from .values import Deployment, Stack


def check_stack(file: File, stack: Stack, host: Host, env_for: Callable[[Deployment], Env]) -> tuple[StackProblem, ...]:
    """Each engine's verdict on its deployment's model and options, at the deployment's lines. Starts nothing.

    `file` is the one that `stack` was loaded from; `env_for` gives the engine of a deployment its `Env`.
    Raises `StackErrors` if the file can't be read any more.
    """
    document = read_document(file)
    return tuple(
        problem
        for index, deployment in enumerate(stack.deployments)
        for problem in _check_deployment(document, index, deployment, host, env_for(deployment))
    )


def _check_deployment(
    document: Document, index: int, deployment: Deployment, host: Host, env: Env
) -> list[StackProblem]:
    path: Path = ("deployments", index)
    try:
        engine = host.build("engine", deployment.engine.plugin, deployment.engine.options, env)
        found = engine.check_model(deployment.model)
    except PluginError as error:
        return [document.problem((*path, "engine"), str(error))]
    return [
        document.problem(
            _place(path, problem.field), f"{problem.message}; {problem.fix}" if problem.fix else problem.message
        )
        for problem in found
    ]


def _place(path: Path, field: str) -> Path:
    if field in ("", "model"):
        return (*path, "model")
    return (*path, "engine_options", *field.split("."))
