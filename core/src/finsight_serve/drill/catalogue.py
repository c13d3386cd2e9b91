"""Every drill, and every section that has none, with the reason."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from ..controller.status import Status
from . import faults
from .drill import Command, Deed, Drill
from .scratch import ScratchService
from .service import SERVE, Service
from .shape import MAIN, NOISY, STEADY, Shape

NOT_DRILLED: Mapping[str, str] = {
    "cold-start-cascade": "it takes a model whose start fills the machine; `fs simulate` shows it without one",
    "oscillation": "it has no alert and is verified over a day; `fs simulate` shows it in seconds",
    "migrating-to-kubernetes": "it needs a cluster",
}
"""Section → why it is not drilled here."""

BELOW_FLOOR_S = 300.0
"""So long a deployment is below its floor until an alert says so, by the shipped rules."""
FLOOD_CLIENTS = 24
ENOUGH_REPLICAS = 3
WINDOW_REPLICAS = 3
GRACE_S = 60
PAIR = Shape(has_spare=True)
TIGHT = Shape(replicas=1, max_running=8, target_ongoing_requests=10)


def _settled(service: Service, status: Status) -> bool:
    return True  # by `fs status` all is as wanted: no deployment is below its floor


def _has_ready(replicas: int) -> Callable[[Service, Status], bool]:
    def mended(service: Service, status: Status) -> bool:
        return sum(one.deployment == MAIN and one.state == "ready" for one in status.replicas) >= replicas

    return mended


def _queue_is_short(service: ScratchService, status: Status) -> bool:
    return all((one.waiting or 0) <= service.shape.target_ongoing_requests for one in status.deployments)


def _nothing_moves(service: Service, status: Status) -> bool:
    return not status.migrations


def _slow_start(speed: int) -> Shape:
    """A start takes longer than the alert waits."""
    return Shape(cold_start_s=round(BELOW_FLOOR_S / speed) + 10)


CONTROLLER_DOWN: Drill[Service] = Drill(
    name="controller-down",
    section="controller-down",
    fault="kill -9 of the controller",
    strike=faults.kill_controller,
    steps=(Command(SERVE),),
    is_mended=_settled,
    loses_nothing=True,
)
REPLICA_HUNG: Drill[Service] = Drill(
    name="replica-hung",
    section="replica-hung",
    fault="SIGSTOP of every replica of a deployment",
    strike=faults.hang_replicas,
    steps=(),
    is_mended=_settled,
    shape=lambda speed: PAIR,
)
HEAD_LOST: Drill[Service] = Drill(
    name="head-lost",
    section="head-lost",
    fault="kill -9 of the backend's head",
    strike=faults.kill_head,
    steps=(),
    is_mended=_settled,
    needs_head=True,
    is_struck_again=True,
    wait_s=1800.0,
)
ON_A_SERVICE: tuple[Drill[Service], ...] = (CONTROLLER_DOWN, REPLICA_HUNG, HEAD_LOST)
"""Those that may be carried out where tenants are served: they change no file, and a command or nothing mends it."""
DRILLS: tuple[Drill[ScratchService], ...] = (
    CONTROLLER_DOWN,
    Drill(
        name="worker-lost",
        section="worker-lost",
        fault="kill -9 of one of two replicas, and starts are slow",
        strike=faults.kill_a_replica,
        steps=(),
        is_mended=_has_ready(2),
        shape=_slow_start,
    ),
    Drill(
        name="load-balancer-down",
        section="load-balancer-down",
        fault="kill -9 of the load balancer, and another process takes its port",
        strike=faults.take_the_port,
        steps=(Command("kill HOLDER"),),
        is_mended=_settled,
    ),
    Drill(
        name="bad-policy-applied",
        section="bad-policy-applied",
        fault="a policy with a third of the replicas that the load takes",
        strike=lambda service: faults.starve(service, FLOOD_CLIENTS),
        steps=(
            Deed(
                "Put the earlier numbers",
                lambda service: service.write(replace(service.shape, replicas=ENOUGH_REPLICAS)),
            ),
            Command("fs apply"),
        ),
        is_mended=_queue_is_short,
        shape=lambda speed: replace(TIGHT, replicas=ENOUGH_REPLICAS),
        prepare=lambda service: service.add_tenant(NOISY, MAIN),
        alert="FinSightQueueDeep",
        is_any_alert=True,
        loses_nothing=True,
    ),
    REPLICA_HUNG,
    Drill(
        name="overload",
        section="overload",
        fault=f"a tenant without limits asks for {FLOOD_CLIENTS} streams at a time, three times what a replica takes",
        strike=lambda service: faults.flood(service, FLOOD_CLIENTS),
        steps=(Command("fs tenant set TENANT"),),
        is_mended=_queue_is_short,
        shape=lambda speed: TIGHT,
        prepare=lambda service: service.add_tenant(NOISY, MAIN),
        words={"TENANT": NOISY},
        loses_nothing=True,
    ),
    Drill(
        name="error-budget-burning",
        section="error-budget-burning",
        fault="kill -9 of a replica every few seconds",
        strike=faults.kill_a_replica,
        steps=(Deed("Truncated at one moment:", faults.wait),),
        is_mended=_has_ready(3),
        shape=lambda speed: Shape(replicas=3),
        alert="FinSightErrorBudgetBurn1h",
        is_struck_again=True,
    ),
    Drill(
        name="metrics-lost",
        section="metrics-lost",
        fault="the load balancer's metrics are at another port, and Prometheus has not been told",
        strike=lambda service: faults.take_up(service, replace(service.shape, has_moved_metrics=True)),
        steps=(
            Command("fs plan -o prometheus"),
            Deed("Another address or backend:", lambda service: service.watch.take_up()),
        ),
        is_mended=_has_ready(2),
        loses_nothing=True,
    ),
    Drill(
        name="disk-full",
        section="disk-full",
        fault="the controller's files can't grow, as on a full disk, while a replica dies",
        strike=faults.forbid_writing,
        steps=(Deed("Free space", faults.permit_writing), Command("truncate -s 0")),
        is_mended=_has_ready(2),
    ),
    Drill(
        name="cut-over-missed",
        section="cut-over-missed",
        fault="a window opens, and the controller was killed (kill -9) before",
        strike=lambda service: faults.miss_window(service, WINDOW_REPLICAS),
        steps=(Command(SERVE, section="controller-down"),),
        is_mended=_has_ready(WINDOW_REPLICAS),
        shape=lambda speed: Shape(most=WINDOW_REPLICAS),
        loses_nothing=True,
    ),
    Drill(
        name="migration-stuck",
        section="migration-stuck",
        fault="a migration whose first step asks for more requests than the tenant makes",
        strike=faults.stick_migration,
        steps=(Command("fs migrate rollback"),),
        is_mended=_nothing_moves,
        shape=lambda speed: PAIR,
        wait_s=1800.0,
        loses_nothing=True,
    ),
    Drill(
        name="certificate-expiring",
        section="certificate-or-key-expiring",
        fault=f"the endpoint's certificate has {faults.SHORT_DAYS} day left",
        strike=lambda service: faults.certify(service, faults.SHORT_DAYS),
        steps=(
            Deed(
                "Replace the files",
                lambda service: faults.certify(service, faults.LONG_DAYS),
            ),
        ),
        is_mended=_settled,
        shape=lambda speed: Shape(has_tls=True),
        loses_nothing=True,
    ),
    Drill(
        name="key-expiring",
        section="certificate-or-key-expiring",
        fault=f"a tenant's key is rotated, and the earlier one ends in {GRACE_S} s",
        strike=lambda service: service.rotate(STEADY, f"{GRACE_S}s"),
        steps=(
            Deed(
                "A key: let the tenant change",
                lambda service: service.load.change_key(service.keys[STEADY]),
            ),
        ),
        is_mended=_settled,
        loses_nothing=True,
    ),
    Drill(
        name="rolling-back",
        section="rolling-back",
        fault="a release whose replicas end while they load",
        strike=lambda service: faults.take_up(service, replace(service.shape, fails="the weights are another model's")),
        steps=(
            Deed("By what was changed.", lambda service: service.write(replace(service.shape, fails=""))),
            Command("kill -TERM PID"),
            Command(SERVE),
        ),
        is_mended=_has_ready(2),
        is_any_alert=True,
        loses_nothing=True,
    ),
    HEAD_LOST,
)
