"""A service with tenants of its own that is drilled: a tenant and a Prometheus are added, and go again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..controller.client import Client
from ..errors import UserError
from ..host import Host
from ..stack import Stack
from . import folder
from .exercise import troubles
from .ports import free_ports
from .service import SERVE, Service, Target

TENANT = "fs-drill"
"""Asks the steady load, which is small: the others' comes on top."""
CLIENTS = 2


@dataclass
class LiveService(Service):
    """Made by `of`; `close` leaves it serving, without what the drill has added."""

    metrics: str = field(kw_only=True)  # host:port of the controller's

    @classmethod
    def of(cls, stack: Stack, served_models: Mapping[str, str], file: Path, state: Path, host: Host) -> "LiveService":
        """Its first deployment. Raises `UserError` where a drill would begin badly."""
        if not stack.metrics.listen:
            raise UserError(f"{file}: metrics: listen is not set, and a drill waits for the alerts that come by it")
        status = Client(state).status()
        if status is None:
            raise UserError(f"{stack.name}: no controller runs, and a drill begins where all is well; `{SERVE}`")
        if found := list(troubles(status)):
            raise UserError(f"{stack.name}: a drill begins where all is well, and {'; '.join(found)}")
        deployment = stack.deployments[0]
        backend = stack.backends[deployment.backend]
        target = Target(
            file=file.absolute(),
            state=state,
            stack=stack.name,
            backend=deployment.backend,
            orchestrator=backend.plugin,
            options=backend.options,
            deployment=deployment.name,
            tenant=TENANT,
            model=served_models[deployment.name],
            url=status.url,
            clients=CLIENTS,
        )
        (watch,) = free_ports(1)
        service = cls(folder.make(), watch, host, target, metrics=stack.metrics.listen)
        service.write_shim()
        return service

    def prepare(self) -> None:
        """Raises `DrillError`."""
        self._remove_tenant()  # of a drill that was killed
        self.add_tenant(TENANT, self.target.deployment)

    def words(self) -> Mapping[str, str]:
        return {**super().words(), "METRICS": self.metrics}

    def close(self) -> list[str]:
        self.stop()
        ran = self.run(SERVE) if self.status() is None else None
        self._remove_tenant()
        failed = [f"`{SERVE}` ended with {ran.code}: {ran.last_line}"] if ran and ran.code else []
        return failed + super().close()

    def _remove_tenant(self) -> None:
        self.run(f"fs tenant remove {TENANT} --yes")
