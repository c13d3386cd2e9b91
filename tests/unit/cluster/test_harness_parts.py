"""What the cluster harness decides without a cluster."""

import json
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from tests.cluster.harness import addons, clusters, requirements
from tests.cluster.harness.addresses import Addresses, choose_addresses
from tests.cluster.harness.builds import Binaries, build
from tests.cluster.harness.cgroups import make_cgroup, remove_cgroup
from tests.cluster.harness.errors import HarnessError
from tests.cluster.harness.host_mounts import as_pod, outermost
from tests.cluster.harness.images import Image, write_image
from tests.cluster.harness.versions import MODULES, Module


def test_addresses_of_a_cluster_do_not_overlap():
    chosen = Addresses(IPv4Network("10.80.0.0/16"))
    nets = (chosen.pods, chosen.services, chosen.link)
    assert not any(one.overlaps(other) for one in nets for other in nets if one is not other)
    assert (chosen.host, chosen.node) == ("10.80.255.253", "10.80.255.254")
    assert all(IPv4Network(address).subnet_of(chosen.services) for address in (chosen.api_service, chosen.dns_service))


def test_what_is_routed_here_is_not_chosen():
    assert choose_addresses([]).net == IPv4Network("10.80.0.0/16")
    assert choose_addresses(["10.80.3.0/24", "10.81.0.1", "192.0.2.0/24"]).net == IPv4Network("10.82.0.0/16")
    with pytest.raises(LookupError):
        choose_addresses(["10.0.0.0/8"])


def test_an_image_is_one_layer_that_its_manifest_names(tmp_path):
    program = tmp_path / "program"
    program.write_bytes(b"binary")
    image = Image("tool", {"tool": program}, {"etc/passwd": "x"}, links={"bin": "usr/bin"}, command=("/tool",))
    write_image(image, tmp_path / "tool.tar")
    with tarfile.open(tmp_path / "tool.tar") as tar:
        [manifest] = json.load(tar.extractfile("manifest.json"))
        assert manifest["RepoTags"] == ["docker.io/local/tool:1"]
        config = json.load(tar.extractfile(manifest["Config"]))
        assert config["config"] == {"User": "1000:1000", "Entrypoint": ["/tool"]}
        with tarfile.open(fileobj=tar.extractfile(manifest["Layers"][0])) as layer:
            assert layer.getmember("tool").mode == 0o755
            assert layer.getmember("tmp").mode == 0o1777
            assert layer.getmember("bin").linkname == "usr/bin"
    assert sorted(os.listdir(tmp_path)) == ["program", "tool.tar"]


def test_a_cluster_without_keda_imports_no_image_of_it(tmp_path):
    bare, whole = (
        {image.name for image in addons.images(Binaries(tmp_path), with_keda=keda)} for keda in (False, True)
    )
    assert whole - bare == set(addons.KEDA_IMAGES)
    assert bare == {"pause", "coredns", "host"}


def test_a_folder_of_binaries_is_named_by_all_that_decides_what_is_in_it():
    one = MODULES[0]
    others = [
        replace(one, version="1.0.0"),
        replace(one, replaced=one.replaced[1:]),
        replace(one, stamped={}),
        replace(one, tags="x"),
        replace(one, commands={"kubectl": "cmd/kubectl"}),
    ]
    assert len({module.folder for module in (one, *others)}) == len(others) + 1
    assert one.folder == replace(one).folder
    names = [name for module in MODULES for name in (*module.commands, *module.copied)]
    assert len(names) == len(set(names))


def test_a_build_makes_what_is_missing_and_leaves_nothing_half_done(tmp_path, monkeypatch):
    """With a `go` that writes to its -o, and fails for one package."""
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(
        '#!/bin/sh\nfor word; do last=$word; done\n[ "$last" != m/bad ] || { echo "no such package" >&2; exit 1; }\n'
        'while [ $# -gt 0 ]; do [ "$1" != -o ] || printf %s "$last" > "$2"; shift; done\n'
    )
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:{os.environ['PATH']}")
    module = Module("m", "m", "1", {"good": "good", "bad": "bad"})
    binaries = Binaries(tmp_path / "cache", [module])
    said: list[str] = []
    with pytest.raises(HarnessError, match="no such package"):
        build(binaries, said.append)
    assert binaries["good"].read_text() == "m/good"
    assert binaries.missing == ["bad"]
    mended = Binaries(binaries.cache, [replace(module, commands={"good": "good"})])
    build(mended, said.append)
    assert mended.missing == []
    assert not list(binaries.cache.glob(".building-*"))
    assert said[0].startswith("building 2 binaries")


@pytest.mark.parametrize(
    ("settings", "lacks"),
    [
        ({}, ["Go 1.26 or later"]),
        ({"GOVERSION": "go1.26.8", "GOTOOLCHAIN": "local"}, []),
        ({"GOVERSION": "go1.22.1", "GOTOOLCHAIN": "auto"}, []),
        ({"GOVERSION": "go1.22.1", "GOTOOLCHAIN": "local"}, ["Go 1.26 or later (here is go1.22.1)"]),
        ({"GOVERSION": "go1.19.8", "GOTOOLCHAIN": ""}, ["Go 1.26 or later (here is go1.19.8)"]),
    ],
)
def test_go_is_new_enough_or_fetches_one_that_is(settings, lacks):
    assert requirements.lacking_go(settings) == lacks


def test_missing_programs_are_named_by_their_packages_once(monkeypatch):
    monkeypatch.setattr(requirements, "find_cni", lambda: None)
    packages = requirements.lacking_packages(lambda program: program in ("ip", "nsenter", "unshare", "setpriv"))
    assert packages == ["containerd", "runc", "iptables", "containernetworking-plugins"]


def test_folders_within_others_are_mounted_with_them():
    inner = [Path("/usr"), Path("/a/.venv"), Path("/usr"), Path("/a"), Path("/ab")]
    assert outermost(inner) == [Path("/usr"), Path("/a"), Path("/ab")]
    volumes, mounts = as_pod([Path("/usr")])
    assert volumes[0]["name"] == mounts[0]["name"]
    assert mounts[0] == {"name": "host-0", "mountPath": "/usr", "readOnly": True}


def test_a_cgroup_takes_its_parents_processors_and_goes_whole(tmp_path):
    for hierarchy in ("memory", "cpuset"):
        (tmp_path / hierarchy).mkdir()
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-3")
    make_cgroup("fs-x", tmp_path)
    assert (tmp_path / "cpuset" / "fs-x" / "cpuset.cpus").read_text() == "0-3"
    (tmp_path / "cpuset" / "fs-x" / "cpuset.cpus").unlink()  # a kernel's own files go with their folder
    (tmp_path / "memory" / "fs-x" / "pods" / "one").mkdir(parents=True)
    remove_cgroup("fs-x", tmp_path)
    assert not list(tmp_path.glob("*/fs-x"))


def test_help_and_packages_need_no_cluster():
    run = [sys.executable, "-m", "tests.cluster.harness"]
    done = subprocess.run([*run, "--help"], capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.returncode == 0
    assert {"up", "down", "build", "packages"} <= set(done.stdout.split())


def test_a_kubeconfig_elsewhere_is_not_of_the_harness(tmp_path):
    binaries = Binaries(tmp_path)
    (tmp_path / "clusters" / "dev").mkdir(parents=True)
    (tmp_path / "clusters" / "dev" / "net").write_text("10.99.0.0/16")
    ours = tmp_path / "clusters" / "dev" / "admin.kubeconfig"
    found = clusters.find_by_kubeconfig(ours, binaries, tmp_path / "clusters")
    assert found is not None and found.pod_cidr == "10.99.0.0/20"
    assert clusters.find_by_kubeconfig(tmp_path / "admin.kubeconfig", binaries, tmp_path / "clusters") is None
