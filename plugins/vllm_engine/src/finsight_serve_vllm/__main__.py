"""`python -m finsight_serve_vllm --host H --port P --model … `: the app as a process; SIGTERM lets open answers end."""

import argparse
import asyncio

import uvicorn

from finsight_serve.replica_guard import guard

from .app import build

KEEP_ALIVE_S = 75  # longer than a load balancer keeps its idle connections: it must be the one that closes them


async def serve(host: str, port: int, argv: list[str]) -> None:
    app = await build(argv)
    from vllm.entrypoints.launchers.launcher import watchdog_loop

    config = uvicorn.Config(
        guard(app), host=host, port=port, log_level="warning", access_log=False, timeout_keep_alive=KEEP_ALIVE_S
    )
    server = app.state.server = uvicorn.Server(config)
    watchdog = asyncio.create_task(watchdog_loop(server, app.state.engine_client))  # ends the server with its engine
    try:
        await server.serve()
    finally:
        watchdog.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m finsight_serve_vllm", allow_abbrev=False, add_help=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    address, argv = parser.parse_known_args()
    asyncio.run(serve(address.host, address.port, argv))


if __name__ == "__main__":
    main()
