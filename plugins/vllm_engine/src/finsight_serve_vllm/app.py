"""vLLM's own server as an ASGI app over an engine in this process; the app's lifespan ends the engine."""

import os
import types
from argparse import Namespace
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from finsight_serve.replica_guard import App, guard

from .environment import ALWAYS
from .installation import check_library

if TYPE_CHECKING:
    from fastapi import FastAPI


async def factory(argv: Sequence[str]) -> App:
    """Loads the model, which blocks the event loop for as long, and returns the guarded app."""
    # vLLM would set logging up anew, which closes the handlers of the process that it is a guest of: Ray Serve asks its
    # own for a file when a head is back, and ended every replica that had lost it.
    os.environ.setdefault("VLLM_CONFIGURE_LOGGING", "0")
    return guard(await build(argv))


async def build(argv: Sequence[str]) -> "FastAPI":
    """Raises `RuntimeError` where this machine lacks what vLLM needs, and whatever vLLM raises that does not start."""
    if problems := check_library():
        raise RuntimeError(f"{problems[0].message}: {problems[0].fix}")
    for name, value in ALWAYS.items():
        os.environ.setdefault(name, value)
    from vllm.entrypoints.launchers.api_server.app_state import init_app_state
    from vllm.entrypoints.launchers.api_server.entry import build_async_engine_client
    from vllm.entrypoints.launchers.app import build_app

    args = parse(argv)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(build_async_engine_client(args))
        tasks = await engine.get_supported_tasks()
        app = build_app(args, tasks, engine.model_config)
        await init_app_state(engine, app.state, args, tasks)
        app.state.server = types.SimpleNamespace(should_exit=False)  # vLLM's error handler sets it
        end_with_lifespan(app, stack.pop_all())
    return app


def parse(argv: Sequence[str]) -> Namespace:
    """Raises `SystemExit`, `TypeError`, `ValueError` or `KeyError` for what vLLM does not take."""
    from vllm.entrypoints.launchers import launcher
    from vllm.reasoning import ReasoningParserManager
    from vllm.tool_parsers import ToolParserManager

    from .option_parser import make_parser, validate

    args: Namespace = make_parser().parse_args(list(argv))
    validate(args)
    if args.tool_parser_plugin:
        ToolParserManager.import_tool_parser(args.tool_parser_plugin)
    if args.reasoning_parser_plugin:
        ReasoningParserManager.import_reasoning_parser(args.reasoning_parser_plugin)
    check: Any = launcher.validate_api_server_args  # untyped
    check(args)
    return args


def end_with_lifespan(app: "FastAPI", resources: AsyncExitStack) -> None:
    serving = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Any]:
        async with resources, serving(app) as state:
            yield state

    app.router.lifespan_context = lifespan
