"""The one container of a replica's pod. Pure."""

import sys
from collections.abc import Mapping

from finsight_serve.plugin import METRICS_KEY_ENV, OPEN_METRICS_ENV, ApplyError, DeploymentSpec, Launch

from .engine_environment import hidden, plain, secret_name
from .kinds import Json
from .options import Options
from .pod_monitor import METRICS_KEY
from .probes import probes
from .quantity import canonical_cpus
from .service import HTTP
from .volumes import ARCHIVE_PATH, TEMPORARY


def container(spec: DeploymentSpec, has_archive: bool, mounts: list[Json], options: Options) -> Json:
    """Raises `ApplyError` for an engine without an image, and for a share of a GPU."""
    return {
        "name": "engine",
        "image": _image(spec, options),
        "imagePullPolicy": options.image_pull_policy,
        "command": [_literal(word) for word in _argv(spec.launch, options)],
        "env": _env(spec.launch, has_archive, options),
        **_env_from(spec, options),
        "ports": [{"name": HTTP, "containerPort": options.port, "protocol": "TCP"}],
        "resources": _resources(spec, options),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": mounts,
        **probes(options),
        # the pod is taken out of every list of addresses at once, but not everybody has read that yet
        **({"lifecycle": {"preStop": {"sleep": {"seconds": options.pre_stop_s}}}} if options.pre_stop_s else {}),
    }


def _image(spec: DeploymentSpec, options: Options) -> str:
    image = options.image or spec.launch.image
    if not image:
        raise ApplyError(
            f"deployment {spec.name!r}: its engine names no image: set the backend's `image` to one that has the engine"
        )
    return image


def _argv(launch: Launch, options: Options) -> list[str]:
    """All interfaces: the pod's address is only known once it runs."""
    words = [options.python if word == sys.executable else word for word in launch.argv]
    return [word.replace("{host}", "0.0.0.0").replace("{port}", str(options.port)) for word in words]


def _env(launch: Launch, has_archive: bool, options: Options) -> list[Json]:
    """The user's own win. A name for the user, as the image needn't know its number."""
    texts = {"HOME": TEMPORARY, "USER": "finsight"}
    if has_archive:
        texts["PYTHONPATH"] = ARCHIVE_PATH
    if options.network_policy and not options.metrics_key_secret:
        texts[OPEN_METRICS_ENV] = "1"
    texts |= plain(launch)
    texts = {name: text for name, text in texts.items() if name not in hidden(launch)} | options.env
    entries: dict[str, Json] = {name: _variable(name, text) for name, text in texts.items()}
    if options.metrics_key_secret:
        secret = {"name": options.metrics_key_secret, "key": METRICS_KEY}
        entries[METRICS_KEY_ENV] = {"name": METRICS_KEY_ENV, "valueFrom": {"secretKeyRef": secret}}
    return [entries[name] for name in sorted(entries)]


def _variable(name: str, text: str) -> Json:
    """The API server keeps no empty value, which means the same."""
    return {"name": name, **({"value": _literal(text)} if text else {})}


def _env_from(spec: DeploymentSpec, options: Options) -> Json:
    """Of two with the same variable the later one counts: nothing takes the place of the engine's own."""
    secrets = [*options.env_from_secrets, *([secret_name(spec.name)] if hidden(spec.launch) else [])]
    return {"envFrom": [{"secretRef": {"name": secret}} for secret in secrets]} if secrets else {}


def _resources(spec: DeploymentSpec, options: Options) -> Mapping[str, Json]:
    """Memory and GPUs can't be lent, so as much is requested as may be used."""
    requests: Json = {"cpu": canonical_cpus(spec.launch.num_cpus)} if spec.launch.num_cpus else {}
    limits: Json = {}
    if options.cpu_limit is not None:
        limits["cpu"] = canonical_cpus(options.cpu_limit)
    if options.memory is not None:
        requests["memory"] = limits["memory"] = options.memory
    if spec.launch.num_gpus:
        requests[options.gpu_resource] = limits[options.gpu_resource] = _gpus(spec)
    return {name: values for name, values in (("requests", requests), ("limits", limits)) if values}


def _gpus(spec: DeploymentSpec) -> str:
    if spec.launch.num_gpus % 1:
        raise ApplyError(
            f"deployment {spec.name!r}: it asks for {spec.launch.num_gpus:g} GPUs, and Kubernetes gives whole ones"
        )
    return str(int(spec.launch.num_gpus))


def _literal(text: str) -> str:
    """As it is, where Kubernetes would put a variable in place of $(NAME)."""
    return text.replace("$(", "$$(")
