"""The forms in which a plan can be had, and the objects that each consists of. Pure."""

from collections.abc import Iterator, Mapping

from finsight_serve.capabilities import ControllerHost
from finsight_serve.plugin import ApplyError, Artefact, Plan

from ..options import Options
from .controller import controller_objects
from .helm import chart
from .kustomize import kustomization
from .manifest import to_yaml

FORMS: Mapping[str, str] = {
    "yaml": "one stream for `kubectl apply --server-side -f -`",
    "kustomize": "a folder for `kubectl apply --server-side -k DIR`",
    "helm": "a chart for `helm install NAME DIR`",
}
NO_MANIFEST = ("Eviction",)
"""What is done once, to one pod, and is no state that people could apply."""


def export(plan: Plan, form: str, controller: ControllerHost | None, options: Options) -> Mapping[str, str]:
    """Relative path → text; one path "" for a single stream. Raises `ApplyError` for what can't be exported."""
    objects = [artefact.body for artefact in plan.artefacts if is_manifest(artefact)]
    if controller is not None:
        objects += controller_objects(controller, options)
    head = "".join(_left_out(plan))
    if form == "yaml":
        return {"": head + "---\n".join(map(to_yaml, objects))}
    if form == "kustomize":
        return kustomization(objects, head)
    if form == "helm":
        return chart(objects, options.namespace, head)
    raise ApplyError(f"there is no form {form!r}; there are {', '.join(FORMS)}")


def is_manifest(artefact: Artefact) -> bool:
    return not artefact.secret and artefact.body["kind"] not in NO_MANIFEST


def _left_out(plan: Plan) -> Iterator[str]:
    """Comments on what nobody should read in a file."""
    for artefact in plan.artefacts:
        if artefact.secret:
            entries = ", ".join(artefact.body.get("data", {}))
            yield f"# {artefact.name} is not written into files. Make it by other means, with {entries}.\n"
