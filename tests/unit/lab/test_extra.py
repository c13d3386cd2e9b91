"""Where the optional libraries are missing."""

import subprocess
import sys

import pytest

BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {library!r}:
            raise ModuleNotFoundError(f"No module named {{name}}", name=name)
sys.meta_path.insert(0, Block())
from finsight_serve.cli.main import cli
cli(prog_name="fs")
"""
STACK = """\
name: lab
backend: ray
load_balancer: nginx
deployments:
  - {name: chat, model: sim-model, engine: sim, policy: {max_replicas: 4}}
"""


@pytest.mark.parametrize("library", ["numba", "pandas", "matplotlib", "jinja2"])
def test_a_missing_library_is_one_line_with_the_remedy(tmp_path, library):
    (tmp_path / "fs.yaml").write_text(STACK)
    (tmp_path / "load.csv").write_text("arrival_s\n1\n2\n")
    argv = ("simulate", "--trace", "load.csv", "--report", "page.html")
    ran = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(library=library), *argv],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 2
    assert ran.stderr == f"fs: {library} is not installed: pip install 'finsight-serve[lab]'\n"
    assert not (tmp_path / "page.html").exists()
