"""Credentials for the API server, read anew whenever it refuses the old ones. Nothing else imports `kubernetes`, and
this only once it is asked: it takes a second.
"""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio

from .access import Identity, is_in_cluster, kubeconfig, why_none
from .options import Access
from .refusals import ApiRefusal, why

CONNECTIONS = 64  # the watches hold one each
CREDENTIAL_PLUGIN_S = 60.0
"""How long a kubeconfig's credential plugin may take: it may ask a person."""

Configuration: TypeAlias = Any
RestClient: TypeAlias = Any
"""The library's, which has types only in part."""


@dataclass(frozen=True)
class Session:
    client: RestClient  # keeps its connections; whoever has it closes it
    headers: Mapping[str, str] = field(repr=False)
    identity: Identity


async def log_in(access: Access) -> Session:
    """Raises `ApiRefusal`."""
    from kubernetes.aio.client.rest import RESTClientObject

    library: Any = RESTClientObject
    configuration, identity = await _configure(access)
    token = configuration.api_key.get("BearerToken")
    try:
        client = library(configuration)
    except (OSError, ssl.SSLError) as error:
        raise _unusable(identity.kubeconfig, error) from error
    return Session(client, {"Authorization": token} if token else {}, identity)


async def _configure(access: Access) -> tuple[Configuration, Identity]:
    """Where the API server is and how to ask it. Raises `ApiRefusal`."""
    from kubernetes.aio import client, config
    from yaml import YAMLError

    paths = kubeconfig(access, os.environ)
    library: Any = config
    configuration: Configuration = client.Configuration()
    configuration.connection_pool_maxsize = CONNECTIONS
    try:
        if paths:
            return configuration, await _read(paths, access, configuration)
        if not is_in_cluster(access, os.environ):
            raise ApiRefusal(
                why_none(access, os.environ),
                fix="give the option `kubeconfig` the file that your cluster's administrator or `kubectl` uses",
                field="kubeconfig",
            )
        library.load_incluster_config(client_configuration=configuration, try_refresh_token=False)
    except (library.ConfigException, YAMLError, OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise _unusable(paths, error) from error
    return configuration, Identity(configuration.host, "")


async def _read(paths: str, access: Access, configuration: Configuration) -> Identity:
    from kubernetes.aio.config import exec_provider, kube_config

    library: Any = kube_config  # it has types only in part
    provider: Any = exec_provider

    class Loader(library.KubeConfigLoader):  # type: ignore[misc]
        """The library's goes on without credentials where the plugin fails, and logs what the plugin wrote."""

        async def load_from_exec_plugin(self) -> bool:
            command: str = self._user["exec"]["command"]
            try:
                with anyio.fail_after(CREDENTIAL_PLUGIN_S):
                    status = await provider.ExecProvider(self._user["exec"]).run()
                if "token" in status:
                    self.token = f"Bearer {status['token']}"
                else:
                    certificate, key = (
                        library.FileOrData(status, None, data_key_name=name, base64_file_content=False)
                        for name in ("clientCertificateData", "clientKeyData")
                    )
                    if not certificate.as_data() or not key.as_data():
                        raise ValueError("neither a token nor a certificate")
                    self.cert_file, self.key_file = certificate.as_file(), key.as_file()
            except Exception as error:
                state = "isn't installed" if isinstance(error, FileNotFoundError) else "failed"
                raise ApiRefusal(
                    f"the credential plugin {command!r} of {paths} {state}",
                    fix="`kubectl auth whoami` shows what it says: install it, or log in",
                    field="kubeconfig",
                ) from None  # what it wrote may be a secret
            return True

    config = library.KubeConfigMerger(paths).config
    contexts = {context["name"]: context for context in config.value.get("contexts") or ()}
    name = access.context or config.value.get("current-context")
    if name not in contexts:
        known = ", ".join(sorted(contexts)) or "none"
        raise ApiRefusal(
            f"{paths} has no context {name!r}" if name else f"{paths} names no current context",
            fix=f"set the option `context` to one that it has: {known}",
            field="context",
        )
    loader: Any = Loader(config, active_context=name, config_base_path=None)
    await loader.load_and_set(configuration)
    return Identity(configuration.host, paths, name, str(loader.current_context["context"].get("user") or ""))


def _unusable(paths: str, error: Exception) -> ApiRefusal:
    what = f"the kubeconfig {paths}" if paths else "the pod's service account"
    return ApiRefusal(
        f"{what} can't be used: {why(error)}",
        fix="correct it, until `kubectl auth whoami` answers",
        field="kubeconfig",
    )
