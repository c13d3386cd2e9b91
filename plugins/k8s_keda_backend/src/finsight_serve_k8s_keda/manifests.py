"""What a deployment is on Kubernetes: all its objects, in the order in which they are applied. Pure."""

from collections.abc import Sequence

from finsight_serve.plugin import DeploymentSpec

from . import engine_environment, kinds
from .cron_windows import CronWindow
from .deployment import deployment
from .disruption_budget import disruption_budget
from .engine_archive import config_map
from .kinds import Json, Kind
from .names import check_name, deployment_labels
from .network_policy import network_policy
from .options import Options
from .pod_monitor import pod_monitor
from .scaled_object import scaled_object
from .service import service
from .service_account import service_account

EVICTION = "Eviction"


def manifests(
    spec: DeploymentSpec, windows: Sequence[CronWindow], archive: bytes, owner: str, options: Options
) -> tuple[Json, ...]:
    """`windows`: floors that cron raises, where no controller does; `archive`: the engine's code.

    Raises `ApplyError`.
    """
    check_name(spec.name)
    name, labels = spec.name, deployment_labels(owner, spec.name)
    made: dict[Kind, Json] = {
        kinds.SERVICE_ACCOUNT: service_account(name, labels, options),
        kinds.SERVICE: service(name, labels, options),
        kinds.DISRUPTION_BUDGET: disruption_budget(name, labels, options),
        kinds.DEPLOYMENT: deployment(spec, archive, labels, options),
        kinds.SCALED_OBJECT: scaled_object(spec, windows, labels, options),
    }
    if hidden := engine_environment.hidden(spec.launch):
        made[kinds.SECRET] = engine_environment.secret(name, hidden, labels, options)
    if archive:
        made[kinds.CONFIG_MAP] = config_map(name, archive, labels, options)
    if options.network_policy:
        made[kinds.NETWORK_POLICY] = network_policy(name, owner, labels, options)
    if options.pod_monitor:
        made[kinds.POD_MONITOR] = pod_monitor(name, labels, options)
    return tuple(made[kind] for kind in kinds.APPLIED if kind in made)


def eviction(pod: str, options: Options) -> Json:
    """A replica that must go."""
    metadata = {"name": pod, "namespace": options.namespace}
    return {"apiVersion": "policy/v1", "kind": EVICTION, "metadata": metadata}
