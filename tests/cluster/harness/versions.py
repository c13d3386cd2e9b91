"""What is built, and which versions were seen to fit together. The one place that names them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

KUBERNETES = "1.36.3"
STAGING = (
    "api",
    "apiextensions-apiserver",
    "apimachinery",
    "apiserver",
    "cli-runtime",
    "client-go",
    "cloud-provider",
    "cluster-bootstrap",
    "code-generator",
    "component-base",
    "component-helpers",
    "controller-manager",
    "cri-api",
    "cri-client",
    "cri-streaming",
    "csi-translation-lib",
    "dynamic-resource-allocation",
    "endpointslice",
    "externaljwt",
    "kms",
    "kube-aggregator",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "metrics",
    "mount-utils",
    "pod-security-admission",
    "sample-apiserver",
    "streaming",
)
"""Modules that Kubernetes replaces by folders of its own repository; elsewhere they are released as 0.MINOR.PATCH."""


@dataclass(frozen=True)
class Module:
    """A Go module and what is taken from it."""

    name: str
    path: str
    version: str
    commands: Mapping[str, str]  # binary → package, below the module's path; "" is the module itself
    replaced: tuple[str, ...] = ()  # lines of `replace` that its own go.mod has and that don't reach who requires it
    stamped: Mapping[str, str] = field(default_factory=dict)  # Go variable → value, set by the linker
    copied: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # name → (module, path in it)
    tags: str = ""
    source: str = ""  # a program of our own instead of a module: package "."

    @property
    def go_mod(self) -> str:
        required = [] if self.source else [f"require {self.path} v{self.version}"]
        replaced = [f"replace {line}" for line in self.replaced]
        return "\n".join(["module cluster", "go 1.26.0", *required, *replaced, ""])

    @property
    def folder(self) -> str:
        """Named by all that decides what is in it."""
        parts = (self.commands, self.stamped, self.copied, self.tags, self.source)
        recipe = repr((self.go_mod, BUILD_FLAGS, *(part for part in parts if part)))
        return f"{self.name}-{self.version}-{sha256(recipe.encode()).hexdigest()[:8]}"


PAUSE = """\
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
}
"""
"""Holds a pod's namespaces open."""

BUILD_FLAGS = ("-mod=mod", "-buildvcs=false", "-trimpath")
STAMP = "k8s.io/component-base/version"

MODULES = (
    Module(
        "kubernetes",
        "k8s.io/kubernetes",
        KUBERNETES,
        {
            name: f"cmd/{name}"
            for name in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
                "kubectl",
            )
        },
        replaced=tuple(f"k8s.io/{name} => k8s.io/{name} v0{KUBERNETES.removeprefix('1')}" for name in STAGING),
        stamped={
            f"{STAMP}.gitVersion": f"v{KUBERNETES}",
            f"{STAMP}.gitMajor": "1",
            f"{STAMP}.gitMinor": KUBERNETES.split(".")[1],
        },
    ),
    Module("etcd", "go.etcd.io/etcd/server/v3", "3.6.8", {"etcd": ""}),
    Module("coredns", "github.com/coredns/coredns", "1.14.7", {"coredns": ""}),
    Module(
        "keda",
        "github.com/kedacore/keda/v2",
        "2.21.0",
        {"keda-operator": "cmd/operator", "keda-adapter": "cmd/adapter", "keda-admission-webhooks": "cmd/webhooks"},
        replaced=(
            "github.com/nexus-rpc/nexus-proto-annotations v0.1.0"
            " => github.com/nexus-rpc/nexus-proto-annotations v0.1.1-0.20260629224316-835bd8d49cb4",
        ),
        copied={"keda": ("github.com/kedacore/keda/v2", "config")},
    ),
    Module(
        "contour",
        "github.com/projectcontour/contour",
        "1.33.8",
        {"contour": "cmd/contour"},
        copied={
            # Contour watches kinds that only the experimental channel has
            "gateway-crds": ("sigs.k8s.io/gateway-api", "config/crd/experimental"),
            "contour-crds.yaml": ("github.com/projectcontour/contour", "examples/contour/01-crds.yaml"),
        },
    ),
    Module("kube-state-metrics", "k8s.io/kube-state-metrics/v2", "2.13.0", {"kube-state-metrics": ""}),
    # Debian's is built without what finds pods
    Module(
        "prometheus",
        "github.com/prometheus/prometheus",
        "0.311.0",
        {"prometheus": "cmd/prometheus"},
        tags="remove_all_sd,enable_kubernetes_sd",
    ),
    Module("pause", ".", "1", {"pause": ""}, source=PAUSE),
    Module("helm", "helm.sh/helm/v3", "3.20.1", {"helm": "cmd/helm"}),
)
