"""Image archives without a registry: one layer, a config and a manifest in a tar."""

import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path
from tempfile import TemporaryDirectory

REGISTRY = "docker.io/local"
"""No such place: every image is imported, and pulled never."""
USER = 1000
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # the machine's name → Go's


@dataclass(frozen=True)
class Image:
    name: str
    files: Mapping[str, Path] = field(default_factory=dict)  # path in the image → file here
    texts: Mapping[str, str] = field(default_factory=dict)  # path in the image → content
    folders: Sequence[str] = ("tmp",)  # anyone may write there
    links: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = ()

    @property
    def reference(self) -> str:
        return f"{REGISTRY}/{self.name}:1"


def write_image(image: Image, archive: Path) -> None:
    """The layout of `docker save`; whole or not at all."""
    with TemporaryDirectory(prefix=".image-", dir=archive.parent) as made:
        box = Path(made)
        _write_layer(image, box / "layer.tar")
        with (box / "layer.tar").open("rb") as layer:
            digest = file_digest(layer, "sha256").hexdigest()
        config = json.dumps(
            {
                "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
                "os": "linux",
                "config": {"User": f"{USER}:{USER}", "Entrypoint": list(image.command)},
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
                "history": [{"created_by": "finsight-serve"}],
            }
        ).encode()
        config_name = f"{sha256(config).hexdigest()}.json"
        manifest = [{"Config": config_name, "RepoTags": [image.reference], "Layers": [f"{digest}/layer.tar"]}]
        with tarfile.open(box / "image.tar", "w") as tar:
            tar.add(box / "layer.tar", f"{digest}/layer.tar")
            _add(tar, config_name, config)
            _add(tar, "manifest.json", json.dumps(manifest).encode())
        (box / "image.tar").rename(archive)


def _write_layer(image: Image, path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        for folder in image.folders:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(entry)
        for name, target in image.links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
        for name, text in image.texts.items():
            _add(tar, name, text.encode())
        for name, source in image.files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = source.stat().st_size, 0o755
            with source.open("rb") as file:
                tar.addfile(entry, file)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))
