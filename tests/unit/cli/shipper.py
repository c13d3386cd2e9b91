"""An orchestrator of somebody else's that exports, and takes over what runs in a world which is a file."""

import json
from collections.abc import Mapping
from pathlib import Path

from ..foreign import Foreign

SOURCE = """
import json
from dataclasses import asdict
from pathlib import Path
from pydantic import BaseModel, ConfigDict, Field
from finsight_serve.plugin import Artefact, ApplyError, Plan, hookimpl

class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    world: str = Field("", description="a file: artefact to owner")

class Shipper:
    name = "shipper"
    Options = Options
    lacks = {}
    forms = {"crate": "one stream", "boxes": "a folder"}
    on_this_machine = False

    def __init__(self, options, env):
        self.options, self.env = options, env

    def check(self):
        return ()

    def compile(self, want):
        return Plan(tuple(
            Artefact(f"Box/{spec.name}", {
                "owner": self.env.owner,
                "hashes": spec.launch.env.get("FINSIGHT_KEY_SHA256"),
                "windows": len(spec.policy.schedule),
                "min_replicas": spec.policy.min_replicas,
                "evict": sorted(spec.evict),
            }) for spec in want
        ))

    async def apply(self, plan): ...

    async def observe(self):
        yield

    def export(self, plan, form, controller):
        bodies = {artefact.name: artefact.body for artefact in plan.artefacts}
        whole = json.dumps({"controller": asdict(controller) if controller else None, "boxes": bodies})
        if form == "crate":
            return {"": whole + chr(10)}
        return {f"boxes/{name.split('/')[1]}.json": json.dumps(body) for name, body in bodies.items()}

    async def adoptable(self, plan):
        world = json.loads(Path(self.options.world).read_text())
        if "away" in world:
            raise ApplyError("the port can't be reached")
        names = {artefact.name for artefact in plan.artefacts}
        return {name: owner for name, owner in world.items() if name in names and owner != self.env.owner}

    async def adopt(self, plan):
        world = json.loads(Path(self.options.world).read_text())
        world |= dict.fromkeys(await self.adoptable(plan), self.env.owner)
        Path(self.options.world).write_text(json.dumps(world))

@hookimpl
def orchestrator():
    return Shipper
"""
FILE = """
name: shop
backend: {backend}
backends:
  shipper: {{orchestrator: shipper, world: "{world}"}}
  acme: {{orchestrator: acme}}
deployments:
- {{name: chat, model: m, policy: {{max_replicas: 4{more}}}}}
- {{name: code, model: m, policy: {{max_replicas: 4}}}}
"""
HALVES = (("00:00", "12:00"), ("12:00", "00:00"))
WINDOWS = ", ".join(
    f'{{weekly: {{start: "{start}", end: "{end}", timezone: Europe/Berlin}}, min_replicas: 2}}' for start, end in HALVES
)
ALWAYS = f", schedule: [{WINDOWS}]"
"""For a policy: its floor is 2 at any time, by one of two windows."""


class Shop:
    def __init__(self, folder: Path, foreign: Foreign) -> None:
        foreign.install_plugin("orchestrator", "shipper", SOURCE)
        self.folder, self.state = folder, folder / "state"
        self._world = folder / "world.json"
        self.write()

    def write(self, backend: str = "shipper", more: str = "") -> None:
        text = FILE.format(backend=backend, world=self._world, more=more)
        (self.folder / "fs.yaml").write_text(text)

    @property
    def world(self) -> Mapping[str, str]:
        found: Mapping[str, str] = json.loads(self._world.read_text())
        return found

    @world.setter
    def world(self, owners: Mapping[str, str]) -> None:
        self._world.write_text(json.dumps(dict(owners)))
