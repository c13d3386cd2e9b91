"""The scratch service of a drill: a folder of its own with an fs.yaml, which faults may write anew."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import psutil

from ..errors import UserError
from ..host import Host
from ..ports import LOOPBACK
from . import family, folder
from .load import Load
from .ports import free_ports
from .service import SERVE, Service, Target
from .shape import MAIN, MODEL, SPARE, STACK, STEADY, Choice, Places, Shape, scratch, stack
from .waiting import DrillError

KEY = re.compile(r"Key +(fs-\S+) +\(tenant ([^;]+);")


@dataclass
class ScratchService(Service):
    """Made by `make`; `close` ends and removes all of it."""

    choice: Choice = field(kw_only=True)
    places: Places = field(kw_only=True)
    shape: Shape = field(default_factory=Shape)
    helpers: list[psutil.Process] = field(default_factory=list)  # what a fault has started
    floods: list[Load] = field(default_factory=list)
    _backend: Mapping[str, object] | None = None  # its options, chosen once: ports stay

    @classmethod
    def make(cls, choice: Choice, host: Host) -> "ScratchService":
        place = folder.make()
        *ports, watch = free_ports(5)
        listen, controller, balancer, other = (f"{LOOPBACK}:{port}" for port in ports)
        places = Places(listen, controller, balancer, other, str(place / "tls.crt"), str(place / "tls.key"))
        target = Target(
            file=place / "fs.yaml",
            state=place / folder.STATE,
            stack=STACK,
            backend=choice.orchestrator,
            orchestrator=choice.orchestrator,
            options={},
            deployment=MAIN,
            tenant=STEADY,
            model=MODEL,
            url=f"http://{listen}",
        )
        service = cls(place, watch, host, target, choice=choice, places=places)
        service.write_shim()
        return service

    def close(self) -> list[str]:
        for load in self.floods:
            load.stop()
        family.end(self.helpers)
        return super().close()

    def write(self, shape: Shape) -> None:
        """fs.yaml, anew."""
        from ruamel.yaml import YAML

        def options(engine: Shape) -> Mapping[str, object]:
            plugin = self.host.load("engine", self.choice.engine)
            return dict(plugin.drill_options(scratch(engine, self.places)))

        orchestrator = self.host.load("orchestrator", self.choice.orchestrator)
        balancer = self.host.load("load_balancer", self.choice.load_balancer)
        asked = scratch(shape, self.places)
        if self._backend is None:
            self._backend = dict(orchestrator.drill_options(asked))
        data = stack(
            shape,
            self.choice,
            self.places,
            backend=self._backend,
            balancer=balancer.drill_options(asked),
            engine=options(shape),
            spare_engine=options(Shape(max_running=shape.max_running)),
        )
        with self.target.file.open("w", encoding="utf-8") as file:
            YAML().dump(data, file)
        self.shape = shape
        scheme = "https" if shape.has_tls else "http"
        self.target = replace(self.target, options=self._backend, url=f"{scheme}://{self.places.listen}")

    def serve(self) -> None:
        """Raises `UserError` with what this machine lacks, `DrillError` where it does not come up."""
        ran = self.run(SERVE)
        self.keys |= {tenant: key for key, tenant in KEY.findall(ran.output)}
        if ran.code == 2:
            raise UserError("\n".join(re.findall(r"^fs: (.*)", ran.output, flags=re.MULTILINE)) or ran.last_line)
        if ran.code:
            raise DrillError(f"the scratch service does not come up: {ran.last_line}")

    def words(self) -> Mapping[str, str]:
        return {
            **super().words(),
            "METRICS": self.places.controller_metrics,
            "BALANCER-METRICS": scratch(self.shape, self.places).metrics_listen,
            "OTHER-DEPLOYMENT": SPARE if self.shape.has_spare else "",
        }

    def _env(self) -> Mapping[str, str]:
        return {**super()._env(), family.MARK: str(self.folder)}
