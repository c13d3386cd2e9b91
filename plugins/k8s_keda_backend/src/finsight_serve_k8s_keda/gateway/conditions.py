"""What a Gateway's controller says of a route in its status → accepted, or a refusal in the user's words. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..kinds import Json
from .options import Options

NEEDED = ("Accepted", "ResolvedRefs")
UNWANTED = ("PartiallyInvalid",)


@dataclass(frozen=True)
class Verdict:
    state: str  # "accepted" | "refused" | "pending"
    why: str = ""


PENDING, ACCEPTED = Verdict("pending"), Verdict("accepted")


def verdict(route: Json, options: Options) -> Verdict:
    """Of the route as it is now: what was said of an older generation of it counts for nothing."""
    conditions = list(_current(route, options))
    wrong = [one for one in conditions if one["status"] == ("False" if one["type"] in NEEDED else "True")]
    if wrong:
        return Verdict("refused", _words(wrong[0], route, options))
    good = {one["type"] for one in conditions if one["status"] == "True"}
    return ACCEPTED if good >= set(NEEDED) else PENDING


def _current(route: Json, options: Options) -> Iterable[Mapping[str, Any]]:
    for parent in route.get("status", {}).get("parents", ()):
        if _is_ours(parent["parentRef"], route, options):
            for condition in parent.get("conditions", ()):
                is_current = condition.get("observedGeneration", 0) >= route["metadata"].get("generation", 0)
                if is_current and condition["type"] in (*NEEDED, *UNWANTED):
                    yield condition


def _is_ours(parent: Mapping[str, Any], route: Json, options: Options) -> bool:
    namespace = parent.get("namespace", route["metadata"].get("namespace"))
    place = (namespace, parent["name"], parent.get("sectionName"))
    return place == (options.gateway_namespace, options.gateway_name, options.listener)


def _words(condition: Mapping[str, Any], route: Json, options: Options) -> str:
    gateway, name = f"Gateway {options.gateway}", f"HTTPRoute {route['metadata']['name']}"
    said = f" ({condition['message']})" if condition.get("message") else ""
    match condition.get("reason", ""):
        case "NotAllowedByListeners":
            mend = f"let a listener's allowedRoutes admit namespace {options.namespace}"
            return f"{gateway} admits no routes from namespace {options.namespace}: {mend}{said}"
        case "NoMatchingListenerHostname":
            hosts = ", ".join(route["spec"].get("hostnames", ())) or "any hostname"
            return f"{gateway} has no listener for {hosts}: add one, or change `hostname`{said}"
        case "NoMatchingParent":
            listener = f" named {options.listener}" if options.listener else ""
            return f"{gateway} has no listener{listener} that takes HTTPRoutes: change `listener`{said}"
        case "BackendNotFound":
            return f"{name} names a Service that is not there: is the deployment served?{said}"
        case "RefNotPermitted":
            return f"{name} names a Service of another namespace, which no ReferenceGrant permits{said}"
        case "RuleMatchConflict":
            mend = "is another stack's tenant of this name behind the same Gateway? Give one of them another name"
            return f"{gateway} has a route for what {name} matches: {mend}{said}"
        case reason:
            return f"{gateway} refuses {name}: {reason or condition['type']}{said}"
