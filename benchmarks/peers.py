"""What others route with. Each peer has an environment of its own in the user's cache folder, made on first use."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import platformdirs

from finsight_serve.testing import find_free_port

from .load import Target
from .machine import process, say, wait_until_ready
from .static import CHAT, MODEL

INSTALL_S = 600.0
START_S = 120.0


@dataclass(frozen=True)
class Peer:
    name: str
    version: str
    requirement: str
    settings: str
    env: tuple[tuple[str, str], ...] = ()

    @property
    def folder(self) -> Path:
        python = f"py{sys.version_info[0]}{sys.version_info[1]}"
        cache = platformdirs.user_cache_path("finsight-serve", appauthor=False)
        return cache / "peers" / f"{self.name}-{self.version}-{python}"


VLLM = Peer(
    "vllm-router",
    "0.1.17",
    "vllm-router==0.1.17",
    "policy round_robin, log level error, as many threads as it starts on its cores",
)
SGLANG = Peer(
    "sglang-router",
    "0.3.2",
    "sglang-router==0.3.2",
    "policy round_robin, log level error, as many threads as it starts on its cores",
)
# 1.107.0 was a compromised release: the pin is exact.
LITELLM = Peer(
    "litellm",
    "1.106.2",
    "litellm[proxy]==1.106.2",
    "a worker for each core, no keys, no database, simple-shuffle, log level ERROR",
    (("LITELLM_LOG", "ERROR"), ("LITELLM_LOCAL_MODEL_COST_MAP", "True"), ("LITELLM_TELEMETRY", "False")),
)
RUST, ALL = (VLLM, SGLANG), (VLLM, SGLANG, LITELLM)


class PeerError(Exception):
    """Why a peer can't be measured here, in one line."""


def install(peer: Peer) -> None:
    """Does nothing when it is there. Raises `PeerError`."""
    done = peer.folder / ".installed"
    if done.exists():
        return
    say(f"installing {peer.name} {peer.version} (once)")
    uv = _find_uv()
    python = peer.folder / "bin" / "python"
    for argv in (
        [*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(peer.folder)],
        [*uv, "pip", "install", "--quiet", "--python", str(python), peer.requirement],
    ):
        try:
            ran = subprocess.run(argv, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PeerError(f"not installed: {type(error).__name__}") from error
        if ran.returncode:
            raise PeerError(f"not installed: {_last_line(ran.stderr)}")
    done.touch()


def _find_uv() -> list[str]:
    beside = Path(sys.executable).with_name("uv")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "uv"]


@contextmanager
def running(peer: Peer, replicas: Sequence[str], folder: Path, *, workers: int) -> Iterator[Target]:
    """Raises `PeerError` where it does not install, start or answer."""
    install(peer)
    target = Target(peer.name, f"127.0.0.1:{find_free_port()}", MODEL, path=CHAT)
    folder.mkdir()
    log = folder / "output.log"
    argv = _argv(peer, target, replicas, folder, workers)
    with process(argv, log, env=dict(peer.env), talks=False) as started:
        try:
            wait_until_ready(target, START_S, lambda: started.poll() is None)
            _ask_once(target)
        except click.ClickException as error:
            raise PeerError(f"did not start: {_last_line(log.read_text(errors='replace')) or error.message}") from error
        yield target


def _argv(peer: Peer, target: Target, replicas: Sequence[str], folder: Path, workers: int) -> list[str]:
    host, _, port = target.address.rpartition(":")
    where = ["--host", host, "--port", port]
    if peer is LITELLM:
        params = [
            {"model": f"openai/{MODEL}", "api_base": f"http://{address}/v1", "api_key": "x"} for address in replicas
        ]
        config = folder / "config.json"  # JSON is YAML
        config.write_text(
            json.dumps(
                {
                    "model_list": [{"model_name": MODEL, "litellm_params": one} for one in params],
                    "general_settings": {"dangerously_permit_weak_or_unset_master_key": True},  # on loopback only
                }
            )
        )
        binary = [str(peer.folder / "bin" / "litellm"), "--config", str(config)]
        return [*binary, *where, "--num_workers", str(workers)]
    urls = ["--worker-urls", *(f"http://{address}" for address in replicas)]
    modes = ["--policy", "round_robin", "--log-level", "error"]
    metrics = ["--prometheus-host", host, "--prometheus-port", str(find_free_port())]
    # started as a module: sglang-router has one name for several console scripts
    module = f"{peer.name.replace('-', '_')}.launch_router"
    return [str(peer.folder / "bin" / "python"), "-m", module, *where, *urls, *modes, *metrics]


def _ask_once(target: Target) -> None:
    import httpx

    from .static import BODY

    with httpx.Client(trust_env=False, timeout=30) as http:
        answer = http.post(f"http://{target.address}{target.path}", json={"model": MODEL, **BODY})
    if answer.status_code != 200:
        raise click.ClickException(f"answers {answer.status_code}: {answer.text[:200]}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
