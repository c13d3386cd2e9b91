"""What is mounted into a replica. Its own file system is read-only, so that it can't be changed from within. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from finsight_serve.plugin import DeploymentSpec

from .engine_archive import FILE, config_map_name
from .kinds import Json
from .options import Options, Volume

TEMPORARY = "/tmp"
"""Also the home: engines keep their caches there."""
SHARED_MEMORY = "/dev/shm"
ARCHIVE_PATH = f"/finsight/{FILE}"


@dataclass(frozen=True)
class Mounted:
    volume: Json
    mount: Json  # without the volume's name


def mounted(spec: DeploymentSpec, has_archive: bool, options: Options) -> tuple[Mounted, ...]:
    taken = {volume.mount_path.rstrip("/") for volume in options.volumes}
    own = [one for one in _own(spec, has_archive) if one.mount["mountPath"] not in taken]
    return (*own, *(_wanted(f"volume-{index}", volume) for index, volume in enumerate(options.volumes)))


def _own(spec: DeploymentSpec, has_archive: bool) -> Iterator[Mounted]:
    yield _mounted("tmp", {"emptyDir": {}}, {"mountPath": TEMPORARY})
    # through which an engine's processes speak: a container has 64 MiB of it, and vLLM wants 160 on a CPU already
    yield _mounted("shm", {"emptyDir": {"medium": "Memory"}}, {"mountPath": SHARED_MEMORY})
    if has_archive:
        # as a single file it stays as it is while the replica lives, whatever becomes of the ConfigMap
        mount = {"mountPath": ARCHIVE_PATH, "subPath": FILE, "readOnly": True}
        yield _mounted("engine", {"configMap": {"name": config_map_name(spec.name)}}, mount)


def _wanted(name: str, volume: Volume) -> Mounted:
    mount: Json = {"mountPath": volume.mount_path}
    if volume.read_only and volume.empty_dir is None:
        mount["readOnly"] = True
    return _mounted(name, _source(volume), mount)


def _source(volume: Volume) -> Json:
    if volume.host_path is not None:
        return {"hostPath": {"path": volume.host_path}}
    if volume.claim is not None:
        return {"persistentVolumeClaim": {"claimName": volume.claim}}
    if volume.secret is not None:
        return {"secret": {"secretName": volume.secret}}
    if volume.config_map is not None:
        return {"configMap": {"name": volume.config_map}}
    return {"emptyDir": {"sizeLimit": volume.empty_dir}}


def _mounted(name: str, source: Json, mount: Json) -> Mounted:
    return Mounted({"name": name, **source}, {"name": name, **mount})
