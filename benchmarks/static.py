"""The upstream of `benchmarks.tenants`, which answers at once and always the same, and nginx as a proxy and no more."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from finsight_serve.testing import find_free_port

from .load import Target
from .machine import process, wait_until_ready

MODEL = "sim"
CHAT = "/v1/chat/completions"
PROMPT = "Summarise the following trade confirmation in two sentences for the desk. " * 6
BODY = {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 200}
ANSWER_TOKENS = 200
REPLICAS = 2

COMMON = """
worker_processes {workers};
pid nginx.pid;
error_log error.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 100000000;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
{http}
}}
"""

UPSTREAM = """
    server {{
{listens}
        location / {{ return 200 '{{}}'; }}
        location = /v1/models {{ return 200 '{models}'; }}
        location = /v1/chat/completions {{ return 200 '{answer}'; }}
    }}
"""

PROXY = """
    upstream replicas {{
{servers}
        keepalive 64;
        keepalive_requests 100000000;
    }}
    server {{
        listen {listen};
        location / {{
            proxy_pass http://replicas;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
"""


def answer() -> str:
    """As vLLM answers, with about five characters a token."""
    message = {"role": "assistant", "content": "fact " * ANSWER_TOKENS}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 90, "completion_tokens": ANSWER_TOKENS, "total_tokens": 90 + ANSWER_TOKENS}
    whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL}
    return json.dumps({**whole, "choices": [choice], "usage": usage})


@contextmanager
def static_upstream(folder: Path, *, workers: int) -> Iterator[tuple[str, ...]]:
    """Yields the addresses of its `REPLICAS`, one nginx in truth."""
    addresses = tuple(f"127.0.0.1:{find_free_port()}" for _ in range(REPLICAS))
    listens = "\n".join(f"        listen {address};" for address in addresses)
    models = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "static"}]})
    http = UPSTREAM.format(listens=listens, models=models, answer=answer())
    with _nginx(http, folder, workers=workers):
        wait_until_ready(Target("the static upstream", addresses[0], MODEL), 10)
        yield addresses


@contextmanager
def plain_nginx(replicas: Sequence[str], folder: Path, *, workers: int) -> Iterator[Target]:
    target = Target("plain nginx", f"127.0.0.1:{find_free_port()}", MODEL, path=CHAT)
    servers = "\n".join(f"        server {address};" for address in replicas)
    with _nginx(PROXY.format(servers=servers, listen=target.address), folder, workers=workers):
        wait_until_ready(target, 10)
        yield target


@contextmanager
def _nginx(http: str, folder: Path, *, workers: int) -> Iterator[None]:
    from finsight_serve_nginx.binary import find

    binary = find(None)
    assert binary is not None
    folder.mkdir()
    conf = folder / "nginx.conf"
    conf.write_text(COMMON.format(workers=workers, http=http))
    user = ["-g", "user root;"] if os.geteuid() == 0 else []
    argv = [str(binary), "-p", str(folder), "-e", "error.log", "-c", str(conf), *user]
    argv[-1:] = [f"{argv[-1]} daemon off;"] if user else [argv[-1], "-g", "daemon off;"]
    with process(argv, folder / "output.log", talks=False):
        yield
