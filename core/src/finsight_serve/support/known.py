"""Every secret that a stack's state, its file, the files they name and the environment are known to hold."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..controller.state import Durable
from ..plugin import KEY_HASHES_ENV, Artefact, Kind
from ..stack.values import PluginRef, Stack
from .secrecy import is_telling, leaves, names_a_secret_file, secrecy, secret_words, secrets_in

LARGEST_SECRET_FILE_BYTES = 64 * 1024
MOST_FILES = 20_000


@dataclass(frozen=True)
class Known:
    """What may be in no text. `names`: of deployments, tenants and backends, which are no secrets."""

    values: frozenset[str] = field(default=frozenset(), repr=False)
    key_sha256: frozenset[str] = field(default=frozenset(), repr=False)
    names: frozenset[str] = frozenset()

    def __or__(self, other: "Known") -> "Known":
        return Known(self.values | other.values, self.key_sha256 | other.key_sha256, self.names | other.names)

    def searched(self) -> frozenset[str]:
        return self.values - self.names


def known_of_state(durable: Durable) -> Known:
    """Pure."""
    stack = durable.stack
    values = {key for keys in durable.replica_keys.values() for key in (keys.current, keys.previous)}
    hashes = {digest for digests in durable.tenant_key_sha256.values() for digest in digests} | set(durable.key_ends_s)
    for launch in durable.launches.values():
        for name, value in launch.env.items():
            if name not in launch.plain_env and is_telling(value, secrecy(name) or "likely"):
                values.add(value)
        hashes |= set(launch.env.get(KEY_HASHES_ENV, "").split(","))
        values |= set(secrets_in(list(launch.argv)))
    plugins = [*durable.retired.values(), *(ref for _, ref in plugins_of(stack))] if stack else durable.retired.values()
    values |= {found for ref in plugins for found in secrets_in(ref.options)}
    return Known(frozenset(values), frozenset(hashes - {""}), _names(stack) | frozenset(durable.added_tenants))


def plugins_of(stack: Stack) -> Iterator[tuple[Kind, PluginRef]]:
    yield from (("orchestrator", ref) for ref in stack.backends.values())
    yield from (("load_balancer", ref) for ref in (stack.load_balancer, stack.edge) if ref is not None)
    yield "health_probe", stack.probe
    yield from (("engine", deployment.engine) for deployment in stack.deployments)


def _names(stack: Stack | None) -> frozenset[str]:
    if stack is None:
        return frozenset()
    deployments = ((one.name, one.model) for one in stack.deployments)
    tenants = (one.name for one in stack.tenants)
    return frozenset((stack.name, *stack.backends, *tenants, *(name for pair in deployments for name in pair)))


def known_of_settings(settings: Any) -> Known:
    """Of a file's values as they were written. Pure."""
    return Known(frozenset(secrets_in(settings)))


def known_of_options(options: Mapping[str, Any], schema: Mapping[str, Any]) -> Known:
    """Of a plugin's options, those that its JSON Schema calls secret (a `SecretStr`), whatever their names. Pure."""
    declared = [name for name, part in schema.get("properties", {}).items() if _is_declared_secret(part)]
    found = (text for name in declared for text, _ in leaves(options.get(name), "certain"))
    return Known(frozenset(text for text in found if is_telling(text, "certain")))


def _is_declared_secret(part: Mapping[str, Any]) -> bool:
    within = (*part.get("anyOf", ()), part.get("items", {}))
    return part.get("format") == "password" or any(_is_declared_secret(one) for one in within if one)


def known_of_environment(environment: Mapping[str, str]) -> Known:
    """Of the variables whose names say so. Pure."""
    return Known(frozenset(secrets_in(dict(environment))))


def known_of_artefacts(artefacts: Iterable[Artefact]) -> Known:
    """Of the secret ones: every value and word that may be what is secret in them. Pure."""
    found = set[str]()
    for artefact in artefacts:
        if artefact.secret:
            found |= set(_values_of(artefact.body))
    return Known(frozenset(found))


def _values_of(body: Any) -> Iterator[str]:
    if isinstance(body, str):
        yield from secret_words(body)
    elif isinstance(body, Mapping):
        yield from secrets_in(body)
        yield from (value for item in body.values() for value in _values_of(item))
        yield from (item for item in body.values() if isinstance(item, str) and is_telling(item))
    elif isinstance(body, list | tuple):
        yield from (value for item in body for value in _values_of(item))


def known_of_files(paths: Iterable[Path]) -> Known:
    """What stands in secret files, read here only to be recognised elsewhere. One that can't be read is left out."""
    found = set[str]()
    for path in paths:
        text = _read(path)
        found |= {text.strip()} if is_telling(text.strip(), "certain") else set()
        found |= {line for line in map(str.strip, text.splitlines()) if is_telling(line) and "-----" not in line}
        found |= set(secret_words(text))
    return Known(frozenset(found))


def _read(path: Path) -> str:
    try:
        if path.is_file() and path.stat().st_size <= LARGEST_SECRET_FILE_BYTES:
            return path.read_bytes().decode(errors="replace")
    except OSError:
        pass
    return ""


def secret_files(folder: Path) -> Iterator[Path]:
    """Those of a state folder that their names give away; its first `MOST_FILES` files are looked at."""
    looked_at = 0
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "logs"]
        for name in names:
            looked_at += 1
            if names_a_secret_file(name):
                yield Path(place, name)
        if looked_at > MOST_FILES:
            return


def named_secret_files(settings: Any, name: str = "") -> Iterator[Path]:
    """Those that settings name: `auth_token_file: PATH`, `tls_certificate_key: PATH`. Pure."""
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            yield from named_secret_files(value, str(key))
    elif isinstance(settings, list | tuple):
        yield from (path for item in settings for path in named_secret_files(item, name))
    elif isinstance(settings, str) and "/" in settings and names_a_secret_file(name):
        yield Path(settings).expanduser()
