"""`python -m finsight_serve_sim --host H --port P …`: the engine as a process; SIGTERM lets open answers end first."""

import argparse
import asyncio
import sys

import uvicorn
from pydantic import ValidationError

from .app import factory

KEEP_ALIVE_S = 75  # longer than a load balancer keeps its idle connections: it must be the one that closes them


async def serve(host: str, port: int, argv: list[str]) -> None:
    app = await factory(argv)
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", access_log=False, timeout_keep_alive=KEEP_ALIVE_S
    )
    await uvicorn.Server(config).serve()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m finsight_serve_sim", allow_abbrev=False, add_help=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    address, rest = parser.parse_known_args()
    try:
        asyncio.run(serve(address.host, address.port, rest))
    except ValidationError as error:
        for problem in error.errors():
            print(f"error: {problem['loc'][0]}: {problem['msg']}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"error: the engine could not load: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
