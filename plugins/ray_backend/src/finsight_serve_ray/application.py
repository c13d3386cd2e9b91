"""A deployment as a Serve application: rendered, graded, merged with other people's. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import ApplyError, Artefact, DeploymentSpec, Grade, graded_fields

from .instance import Application
from .options import Options

IMPORT_PATH = "finsight_serve_ray.ray_api:application"
REPLICA_CLASS = "EngineReplica"
PREFIX_ENV = "FINSIGHT_ROUTE_PREFIX"
DIRECT_INGRESS_ENV: Mapping[str, str] = {"RAY_SERVE_ENABLE_DIRECT_INGRESS": "1"}
ENVIRONMENT = "runtime_env"
METRICS_INTERVAL_S = 10.0  # how often Serve's replicas report their load (RAY_SERVE_… default in 2.60)

Json = dict[str, Any]


def app_name(deployment: str, owner: str) -> str:
    """Unique on a cluster that several owners share; in an export that nobody follows there is no owner."""
    return f"{deployment}-{owner}" if owner else deployment


def render(spec: DeploymentSpec, options: Options, owner: str) -> Json:
    """A `ServeApplicationSchema`. Changing `args` or `runtime_env` replaces replicas, all else leaves them alone."""
    name = app_name(spec.name, owner)
    prefix = f"/{name}"
    replica = {
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "finsight_serve_ray.ray_api:middlewares",
        PREFIX_ENV: prefix,
        **DIRECT_INGRESS_ENV,
    }
    launch = spec.launch
    return {
        "name": name,
        "route_prefix": prefix,
        "import_path": IMPORT_PATH,
        "args": {"owner": owner, "deployment": spec.name, "asgi": launch.asgi, "argv": list(launch.asgi_argv)},
        "runtime_env": {"env_vars": {**launch.env, **replica}},
        "logging_config": {"enable_access_log": False},  # the load balancer keeps the ledger
        "deployments": [
            {
                "name": REPLICA_CLASS,
                "max_ongoing_requests": _max_ongoing_requests(spec.policy, options),
                "user_config": {"evict": sorted(spec.evict)},
                "autoscaling_config": _autoscaling(spec.policy),
                "graceful_shutdown_timeout_s": options.drain_timeout_s,
                "health_check_period_s": options.health_check_period_s,
                "health_check_timeout_s": options.health_check_timeout_s,
                "max_surge_percent": options.max_surge_percent,
                "ray_actor_options": {"num_cpus": float(launch.num_cpus), "num_gpus": float(launch.num_gpus)},
            }
        ],
    }


def split(body: Json) -> tuple[Artefact, Artefact]:
    """An application as artefacts: what everybody may see, and its environment, which may hold a hub's token.

    Keys are sorted, since Serve gives them back in an order of its own.
    """
    name = body["args"]["deployment"]
    shown = {key: value for key, value in body.items() if key != ENVIRONMENT}
    return (
        Artefact(f"application/{name}", _sorted(shown)),
        Artefact(f"environment/{name}", _sorted(body.get(ENVIRONMENT, {})), secret=True),
    )


def join(artefacts: Sequence[Artefact]) -> list[Json]:
    """The applications that were split."""
    bodies = {artefact.name: artefact.body for artefact in artefacts}
    return [
        {**body, ENVIRONMENT: bodies[name.replace("application/", "environment/", 1)]}
        for name, body in bodies.items()
        if name.startswith("application/")
    ]


def grade(policy: AutoscalingPolicy) -> Mapping[str, Grade]:
    """How truly Serve 2.60 follows each field. The names are its own, so most are exact."""
    grades = {name: Grade("exact") for name in graded_fields(policy)}
    grades["smoothing_factor"] = Grade("exact", "as upscaling_factor and downscaling_factor")
    grades["on_signal_loss"] = _on_signal_loss(policy)
    if policy.min_replicas == 0:
        why = "goes down to 0, but Serve sees no request then: the controller must raise the floor to wake it"
        grades["min_replicas"] = Grade("approximate", why)
    if policy.look_back_period_s <= METRICS_INTERVAL_S:
        why = f"replicas report every {METRICS_INTERVAL_S:g} s, so a shorter look-back sees the last report only"
        grades["look_back_period_s"] = Grade("approximate", why)
    if policy.initial_replicas is not None:
        why = "starts with min_replicas: Serve would go back to initial_replicas at every change of the deployment"
        grades["initial_replicas"] = Grade("impossible", why)
    if policy.schedule:
        why = "Serve knows no schedule: without a controller the numbers outside all windows hold all the time"
        grades["schedule"] = Grade("impossible", why)
    return grades


def _on_signal_loss(policy: AutoscalingPolicy) -> Grade:
    """A running replica's last report is kept until the replica stops, and its last value counts until now."""
    what = (
        "Serve goes on with the last report of each running replica, so the count holds; one that has not reported "
        f"yet, as after a restart of Serve's controller, counts as idle for up to {METRICS_INTERVAL_S:g} s"
    )
    return Grade("approximate" if policy.on_signal_loss == "hold" else "impossible", what)


def merge(current: Mapping[str, Application], want: Sequence[Json], owner: str) -> list[Json]:
    """The applications to put: `want`, and everybody else's as they are, since Serve deletes what a PUT leaves out.

    Raises `ApplyError` if a wanted name is another owner's.
    """
    others = {name: app for name, app in current.items() if app.owner != owner and not app.deleting}
    for body in want:
        if body["name"] in others:
            raise ApplyError(
                f"the Ray cluster already has an application {body['name']!r} of somebody else: "
                "give the deployment another name",
                lasting=True,
            )
    kept = [app.deployed_app_config for app in others.values() if app.deployed_app_config is not None]
    return [*kept, *want]


def is_in_force(current: Mapping[str, Application], want: Sequence[Json], owner: str) -> bool:
    """Whether a PUT would change nothing. It would still start an application's deployment over, and one that is put
    again and again would never be up."""
    owned = {name: app for name, app in current.items() if app.owner == owner}
    return owned.keys() == {body["name"] for body in want} and all(
        owned[body["name"]].deployed_app_config == body and owned[body["name"]].status != "DEPLOY_FAILED"
        for body in want
    )


def _autoscaling(policy: AutoscalingPolicy) -> Json:
    """Always this block with these keys, and only numbers in it: anything else would replace every replica."""
    return {
        "min_replicas": policy.min_replicas,
        "max_replicas": policy.max_replicas,
        "initial_replicas": None,  # Serve would jump to it whenever anything of the deployment changes, evictions too
        "target_ongoing_requests": policy.target_ongoing_requests,
        "upscale_delay_s": policy.upscale_delay_s,
        "downscale_delay_s": policy.downscale_delay_s,
        "upscaling_factor": policy.up_factor,
        "downscaling_factor": policy.down_factor,
        "look_back_period_s": policy.look_back_period_s,
    }


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _max_ongoing_requests(policy: AutoscalingPolicy, options: Options) -> int:
    """Serve counts a request as load only once a replica runs it, so a low bound would cap scaling up."""
    return options.max_ongoing_requests or max(256, math.ceil(8 * policy.target_ongoing_requests))
