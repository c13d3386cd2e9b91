"""Distributions of others, laid out on a path as an installer leaves them."""

import sys
from collections.abc import Mapping, Sequence
from importlib import invalidate_caches
from pathlib import Path
from textwrap import dedent

from finsight_serve.plugin import GROUPS, Kind

PLUGIN = """
from collections.abc import Mapping
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from finsight_serve.plugin import Feature, Launch, Plan, Problem, hookimpl

class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    address: str | None = Field(None, description="where it listens")
    width: int = Field(1, ge=1, description="how wide")
    mode: str = Field("fast", pattern="fast|slow", description="fast or slow")
    token: SecretStr | None = Field(None, description="a secret")

class Acme:
    name = "{name}"
    Options = Options
    lacks = {{Feature.EVICT: "it has no hands"}}
    on_this_machine = True
    url = "http://127.0.0.1:1"

    def __init__(self, options, env):
        self.options, self.env = options, env

    def check(self):
        return ()

{members}
@hookimpl
def {kind}():
    return Acme
"""
ACTUATOR = """
    def compile(self, want):
        return Plan(())
    async def apply(self, plan): ...
    async def observe(self):
        yield
"""
MEMBERS: Mapping[Kind, str] = {
    "orchestrator": ACTUATOR,
    "load_balancer": ACTUATOR + "    async def requests(self, after):\n        yield\n",
    "health_probe": "    async def probe(self, replica, model, key):\n        return 'ok'\n",
    "engine": """
    def check_model(self, model):
        found = [] if model != "lost" else [Problem("no model named lost", "name another", "model")]
        return found + ([Problem("too wide", "at most 9", "width")] if self.options.width > 9 else [])
    def prepare(self, model): ...
    def launch(self, model):
        return Launch(("serve",), "module:app")
    def served_model(self, model):
        return model
""",
}


class Foreign:
    """What is installed, as far as `Host` can see. Nothing at first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self,
        distribution: str,
        entry_points: Mapping[Kind, Mapping[str, str]],
        modules: Mapping[str, str],
        *,
        requires: Sequence[str] = ("finsight-serve>=0.1,<0.2",),
        folder: Path | None = None,
    ) -> None:
        folder = folder or self.folder
        info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        lines = ["Metadata-Version: 2.1", f"Name: {distribution}", "Version: 1.0"]
        (info / "METADATA").write_text("\n".join(lines + [f"Requires-Dist: {line}" for line in requires]) + "\n")
        groups = (
            f"[{GROUPS[kind]}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
            for kind, entries in entry_points.items()
        )
        (info / "entry_points.txt").write_text("".join(groups))
        for name, source in modules.items():
            (folder / f"{name}.py").write_text(dedent(source))
        invalidate_caches()

    def install_plugin(self, kind: Kind, name: str, source: str | None = None) -> None:
        """One plugin in a distribution `finsight-NAME`; a working one unless its source is given."""
        module = f"foreign_{kind}_{name.replace('-', '_')}"
        source = source if source is not None else PLUGIN.format(name=name, kind=kind, members=MEMBERS[kind])
        self.install(f"finsight-{kind}-{name}".replace("_", "-"), {kind: {name: module}}, {module: source})

    def imported(self) -> set[str]:
        """Its modules that have been imported."""
        return {name for name in sys.modules if (self.folder / f"{name}.py").exists()}
