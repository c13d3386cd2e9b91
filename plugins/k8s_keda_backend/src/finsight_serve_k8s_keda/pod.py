"""The pod of a replica: its container, who it is, where it may run, how long it may take to end. Pure.

Fulfils the Pod Security Standard "restricted", unless host paths are mounted.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath

from finsight_serve.plugin import ApplyError, DeploymentSpec, Launch

from . import engine_archive, engine_environment
from .container import container
from .kinds import Json
from .names import pod_selector
from .options import Options
from .volumes import mounted

ENGINE_DIGEST = "finsight-serve/engine-sha256"
ENVIRONMENT_DIGEST = "finsight-serve/environment-sha256"
"""Annotations: with another archive or secret environment the replicas are replaced."""
LAST_WORDS_S = 10
"""From a replica's last answer to the end of its process."""
SPREAD_OVER = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")


def pod_template(spec: DeploymentSpec, archive: bytes, labels: Mapping[str, str], options: Options) -> Json:
    """Raises `ApplyError`."""
    _check_files(spec, options)
    digests = _digests(spec.launch, archive)
    mounts = mounted(spec, bool(archive), options)
    return {
        "metadata": {
            "labels": dict(labels),
            **({"annotations": digests} if digests else {}),
        },
        "spec": {
            "containers": [container(spec, bool(archive), [one.mount for one in mounts], options)],
            "volumes": [one.volume for one in mounts],
            "serviceAccountName": spec.name,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,  # a service named "vllm" would set vLLM's own variables
            "securityContext": _security(options),
            "terminationGracePeriodSeconds": options.pre_stop_s + options.drain_timeout_s + LAST_WORDS_S,
            **_scheduling(spec.name, options),
        },
    }


def _digests(launch: Launch, archive: bytes) -> Mapping[str, str]:
    digests = {ENGINE_DIGEST: engine_archive.digest(archive)} if archive else {}
    if hidden := engine_environment.hidden(launch):
        digests[ENVIRONMENT_DIGEST] = engine_environment.digest(hidden)
    return digests


def _check_files(spec: DeploymentSpec, options: Options) -> None:
    places = [PurePosixPath(volume.mount_path) for volume in options.volumes]
    for file in spec.launch.files:
        if not any(PurePosixPath(file).is_relative_to(place) for place in places):
            raise ApplyError(
                f"deployment {spec.name!r}: it reads {file}, which no pod has: mount a volume there "
                "(`volumes` of the backend), or name a model on a hub"
            )


def _security(options: Options) -> Json:
    user = options.run_as_user
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,  # so that it may write to volumes
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _scheduling(name: str, options: Options) -> Json:
    """Only what is asked for, so that nothing empty is applied."""
    wanted = {
        "imagePullSecrets": [{"name": secret} for secret in options.image_pull_secrets],
        "nodeSelector": dict(sorted(options.node_selector.items())),
        "tolerations": [dict(toleration) for toleration in options.tolerations],
        "priorityClassName": options.priority_class,
        "topologySpreadConstraints": [_spread(name, key) for key in SPREAD_OVER],
    }
    return {field: value for field, value in wanted.items() if value}


def _spread(name: str, key: str) -> Json:
    return {
        "topologyKey": key,
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(pod_selector(name))},
    }
