"""What the API server's refusals mean for people, and what mends them. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from finsight_serve.plugin import ApplyError

from .access import Identity
from .kinds import Kind

UNREACHABLE = 0
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT, GONE, INVALID = 401, 403, 404, 409, 410, 422
TOO_MANY, UNAVAILABLE = 429, 503

QUOTA = re.compile(r"exceeded quota: (?P<quota>[^,]+), requested: (?P<wanted>.+), used: .+, limited: (?P<limit>.+)$")
NO_RIGHT = re.compile(r"\bcannot (?P<verb>[a-z]+) resource\b")
ANONYMOUS = '"system:anonymous"'
DENIED = re.compile(r'^admission webhook "(?P<webhook>[^"]+)" denied the request: (?P<reason>.+)$', re.DOTALL)
SILENT = re.compile(r'failed calling webhook "(?P<webhook>[^"]+)": (?P<reason>.+)$', re.DOTALL)
MANAGER = re.compile(r'conflict with "(?P<manager>[^"]+)"')
QUOTE_CHARACTERS = 300


class ApiRefusal(ApplyError):
    """`code` is the HTTP status, or `UNREACHABLE` where no answer came; `reason` the API server's own word for it.

    `field`: the option that is to blame, if one is.
    """

    def __init__(
        self,
        what: str,
        code: int = UNREACHABLE,
        reason: str = "",
        *,
        fix: str = "",
        field: str = "",
        lasting: bool = False,
    ) -> None:
        super().__init__(f"{what}; {fix}" if fix else what, lasting=lasting)
        self.what = what
        self.code = code
        self.reason = reason
        self.fix = fix
        self.field = field


class Told(NamedTuple):
    what: str
    fix: str = ""
    field: str = ""
    lasting: bool = False
    """As `ApplyError` says: it is refused for what it is, not for what the cluster lacks or is busy with just now."""


@dataclass(frozen=True)
class Asked:
    """What was asked: `verb` as in RBAC's rules; no `kind` for a path that is none's."""

    verb: str
    path: str
    kind: Kind | None = None
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def what(self) -> str:
        if self.kind is None:
            return self.path
        return f"{self.kind.kind} {self.name}" if self.name else self.kind.plural

    @property
    def resource(self) -> str:
        """ "pods/log", "scaledobjects.keda.sh", as kubectl takes it."""
        if self.kind is None:
            return self.path
        return f"{self.kind.resource}/{self.subresource}" if self.subresource else self.kind.resource


def refusal(code: int, answer: str, asked: Asked, identity: Identity) -> ApiRefusal:
    """`answer`: the body, a `Status` where the API server itself wrote it."""
    status = _status(answer)
    reason, message = str(status.get("reason") or ""), str(status.get("message") or answer)
    told = _told(code, message, status, asked, identity)
    return ApiRefusal(told.what, code, reason, fix=told.fix, field=told.field, lasting=told.lasting)


def unreachable(reason: str, identity: Identity) -> ApiRefusal:
    return ApiRefusal(
        f"the Kubernetes API server {identity.server} can't be reached: {reason}",
        fix=f"check the network, and the cluster that {identity.source} names",
        field="kubeconfig",
    )


def slow(timeout_s: float, asked: Asked, identity: Identity) -> ApiRefusal:
    return ApiRefusal(
        f"the Kubernetes API server {identity.server} has not answered in {timeout_s:g} s ({asked.verb} {asked.what})",
        fix="check the network, or raise the option `request_timeout_s`",
        field="request_timeout_s",
    )


def untrusted(reason: str, identity: Identity) -> ApiRefusal:
    return ApiRefusal(
        f"the certificate of the Kubernetes API server {identity.server} isn't trusted: {reason}",
        fix=f"correct the cluster's certificate-authority in {identity.source}",
        field="kubeconfig",
    )


def is_name_missing(status_text: str) -> bool:
    """Whether a 404 is about the object alone, not about its kind."""
    status = _status(status_text)
    return status.get("reason") == "NotFound" and bool((status.get("details") or {}).get("name"))


def _told(code: int, message: str, status: Mapping[str, Any], asked: Asked, identity: Identity) -> Told:
    about = f"Kubernetes refuses to {asked.verb} {asked.what}"
    match code:
        case 400:
            return _other(message, about)._replace(lasting=True)
        case 401:
            return _unauthorized(identity)
        case 403:
            return _forbidden(message, asked, identity, about)
        case 404:
            return _not_found(message, status, asked, about)
        case 409:
            return _conflict(message, status, asked, about)
        case 410:
            return Told(
                f"the API server has forgotten the version from which {asked.what} are watched", "list them again"
            )
        case 422:
            return Told(f"{about}: {_invalid(message, status)}", lasting=True)
        case 429:
            return Told(f"{about}: it has too much to do ({_line(message)})", "try again")
        case _:
            return _other(message, about)


def _unauthorized(identity: Identity) -> Told:
    return Told(
        f"the Kubernetes API server {identity.server} does not accept the credentials of {identity.who}: they are "
        "wrong, expired or none",
        "log in to the cluster again, until `kubectl auth whoami` answers",
        "kubeconfig",
    )


def _forbidden(message: str, asked: Asked, identity: Identity, about: str) -> Told:
    if quota := QUOTA.search(message):
        return Told(
            f"{about}: the quota {quota['quota']!r} of namespace {asked.namespace} leaves no room: it asks for "
            f"{quota['wanted']}, and {quota['limit']} is the limit",
            "raise the quota, or remove what uses it up",
        )
    if "terminated" in message and "namespace" in message:
        return Told(f"{about}: namespace {asked.namespace} is being deleted", "wait, and create it again", "namespace")
    if ANONYMOUS in message:
        return _unauthorized(identity)
    kind, missing = asked.kind, NO_RIGHT.search(message)
    if kind is None or not missing:
        return _other(message, about)
    asked = replace(asked, verb=missing["verb"])  # to apply is to patch, and to create where there is none
    where = f" in namespace {asked.namespace}" if kind.namespaced else ""
    return Told(f"{identity.who} may not {asked.verb} {asked.resource}{where}", _grant(asked, kind))


def _grant(asked: Asked, kind: Kind) -> str:
    """How who administers the cluster gives the right."""
    resource = f"{kind.plural}/{asked.subresource}" if asked.subresource else kind.plural
    rule = f'{{apiGroups: ["{kind.group}"], resources: ["{resource}"], verbs: ["{asked.verb}"]}}'
    where = f" -n {asked.namespace}" if kind.namespaced else ""
    role = "Role" if kind.namespaced else "ClusterRole"
    return (
        f"add the rule {rule} to its {role}, until `kubectl auth can-i {asked.verb} {asked.resource}{where}` says yes"
    )


def missing_namespace(namespace: str) -> Told:
    return Told(
        f"the cluster has no namespace {namespace}",
        f"`kubectl create namespace {namespace}`, or correct the option `namespace`",
        "namespace",
    )


def missing_kind(kind: Kind) -> Told:
    """The API server does not serve it."""
    install = kind.install or f"a Kubernetes that has {kind.api_version}"
    return Told(f"the cluster does not know {kind.kind} ({kind.api_version})", f"install {install}")


def _not_found(message: str, status: Mapping[str, Any], asked: Asked, about: str) -> Told:
    details = status.get("details") or {}
    if details.get("kind") == "namespaces":
        return missing_namespace(asked.namespace)
    if asked.kind is not None and not details.get("name"):
        return missing_kind(asked.kind)
    return Told(f"{about}: {_line(message)}")


def _conflict(message: str, status: Mapping[str, Any], asked: Asked, about: str) -> Told:
    causes = [cause for cause in _causes(status) if cause.get("reason") == "FieldManagerConflict"]
    if not causes:
        return _other(message, about)
    fields = sorted({str(cause.get("field") or "").lstrip(".") for cause in causes})
    managers = sorted({found["manager"] for cause in causes if (found := MANAGER.search(str(cause.get("message"))))})
    verb = "is" if len(fields) == 1 else "are"
    return Told(
        f"{asked.what}: {_line(', '.join(fields))} {verb} also set by {' and '.join(managers)}, which nothing here "
        "overrides",
        f"undo it there, or hand it over (`kubectl get {asked.resource} {asked.name} -n {asked.namespace} -o yaml "
        "--show-managed-fields` shows who set what)",
        lasting=True,
    )


def _invalid(message: str, status: Mapping[str, Any]) -> str:
    causes = [f"{cause.get('field') or ''}: {cause.get('message') or ''}" for cause in _causes(status)]
    return _line("; ".join(dict.fromkeys(causes)) or message)


def _other(message: str, about: str) -> Told:
    """An admission webhook's reason, or the API server's."""
    if denied := DENIED.match(message):
        says = f"(says the admission webhook {denied['webhook']})"
        return Told(f"{about}: {_line(denied['reason'])} {says}", lasting=True)
    if silent := SILENT.search(message):
        return Told(
            f"{about}: the admission webhook {silent['webhook']} can't be asked ({_line(silent['reason'])})",
            "see that the pods behind it run",
        )
    return Told(f"{about}: {_line(message)}")


def _causes(status: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (status.get("details") or {}).get("causes") or ()


def _status(answer: str) -> Mapping[str, Any]:
    try:
        found = json.loads(answer)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("kind") == "Status" else {}


def _line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = " ".join(lines) if lines else "no reason given"
    return line if len(line) <= QUOTE_CHARACTERS else line[: QUOTE_CHARACTERS - 1] + "…"


def why(error: BaseException) -> str:
    """What an error says of itself, in a line."""
    return _line(str(error)) if str(error).strip() else type(error).__name__
