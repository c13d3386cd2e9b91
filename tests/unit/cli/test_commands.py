import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from finsight_serve.cli.main import cli

from ..foreign import Foreign

STACK = "name: small\ndeployments:\n  - name: chat\n    model: m\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def run(*argv: str) -> Result:
    return CliRunner().invoke(cli, argv)


def refused(*argv: str) -> list[str]:
    result = run(*argv)
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr.splitlines()


def test_init_writes_a_file_that_validates(one_of_each: Foreign, here: Path) -> None:
    result = run("init", "--model", "toy")
    assert (result.exit_code, result.stdout) == (
        0,
        "Wrote fs.yaml. Next: fs validate -f fs.yaml, then fs serve -f fs.yaml\n",
    )
    validated = run("validate", "-o", "json")
    assert json.loads(validated.stdout) == [
        {
            "deployment": "chat",
            "model": "toy",
            "engine": "acme",
            "backend": "acme",
            "replicas": "1-4",
            "tenants": "default",
        }
    ]


def test_init_does_not_overwrite_unless_told_to(one_of_each: Foreign, here: Path) -> None:
    (here / "mine.yaml").write_text("mine")
    assert refused("init", "mine.yaml") == ["fs: mine.yaml exists; --force overwrites it"]
    assert (here / "mine.yaml").read_text() == "mine"
    assert run("init", "--force", "mine.yaml").exit_code == 0
    assert "name: quickstart" in (here / "mine.yaml").read_text()


def test_init_into_a_folder_that_is_not_there(one_of_each: Foreign) -> None:
    assert refused("init", "gone/fs.yaml") == ["fs: gone/fs.yaml: No such file or directory"]


def test_init_with_an_unknown_or_ambiguous_plugin_writes_nothing(one_of_each: Foreign, here: Path) -> None:
    one_of_each.install_plugin("engine", "zeta")
    assert refused("init") == ["fs: several plugins of the kind engine are installed: choose with --engine acme|zeta"]
    assert refused("init", "--engine", "zet") == [
        "fs: no engine named zet is installed; installed: acme, zeta; did you mean zeta?"
    ]
    assert list(here.iterdir()) == []


def test_validate_says_everything_that_is_wrong(one_of_each: Foreign, here: Path) -> None:
    (here / "fs.yaml").write_text(STACK + "    polic: {}\nname: again\n")
    assert refused("validate") == [
        "fs: fs.yaml:5: deployments[0].polic: unknown key; did you mean policy?",
        "fs: fs.yaml:6: name: this key stands here twice, first in line 1",
    ]


def test_validate_asks_the_engine_and_leaves_nothing_behind(one_of_each: Foreign, here: Path) -> None:
    (here / "fs.yaml").write_text(STACK.replace("model: m", "model: lost"))
    assert refused("validate") == ["fs: fs.yaml:4: deployments[0].model: no model named lost; name another"]
    assert [file.name for file in here.iterdir()] == ["fs.yaml"]


def test_validate_with_an_unknown_backend(one_of_each: Foreign, here: Path) -> None:
    (here / "fs.yaml").write_text(STACK)
    assert refused("validate", "--backend", "acne") == [
        "fs: --backend: no backend named acne; configured or installed: acme; did you mean acme?"
    ]


def test_validate_with_a_missing_file() -> None:
    assert refused("validate", "-f", "none.yaml") == ["fs: none.yaml: no such file; `fs init` writes one"]


def test_validate_shows_a_table(one_of_each: Foreign, here: Path) -> None:
    (here / "fs.yaml").write_text(STACK)
    head, _, row = run("validate").stdout.splitlines()
    assert head.split() == ["deployment", "model", "engine", "backend", "replicas", "tenants"]
    assert row.split() == ["chat", "m", "acme", "acme", "1-1", "default"]


def test_schema_is_json_and_names_what_it_leaves_out(one_of_each: Foreign) -> None:
    one_of_each.install_plugin("engine", "broken", "raise RuntimeError('no luck')")
    result = run("schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["title"] == "fs.yaml"
    assert result.stderr.startswith("fs: left out: engine broken (finsight-engine-broken 1.0) can't be imported:")


def test_plugins_list(foreign: Foreign) -> None:
    foreign.install_plugin("engine", "acme", "raise RuntimeError('imported')")
    foreign.install("gone", {"orchestrator": {"gone": "nowhere"}}, {})
    result = run("plugins", "list", "-o", "json")
    assert [(row["kind"], row["name"], row["state"]) for row in json.loads(result.stdout)] == [
        ("orchestrator", "gone", "missing: module nowhere not found"),
        ("engine", "acme", "installed"),
    ]
    assert foreign.imported() == set()
    assert "missing: module nowhere not found" in run("plugins", "list").stdout


def test_plugins_list_when_there_are_none(foreign: Foreign) -> None:
    assert run("plugins", "list").stdout == "none\n"


def test_plugins_show(one_of_each: Foreign) -> None:
    result = run("plugins", "show", "acme", "--kind", "engine", "-o", "json")
    shown = json.loads(result.stdout)
    assert shown["plugin"] == {
        "kind": "engine",
        "name": "acme",
        "distribution": "finsight-engine-acme",
        "version": "1.0",
        "state": "installed",
    }
    assert shown["lacks"] == [{"feature": "evict", "why": "it has no hands"}]
    assert shown["options"][:2] == [
        {"name": "address", "type": "text or null", "default": None, "description": "where it listens"},
        {"name": "width", "type": "integer", "default": 1, "description": "how wide"},
    ]
    table = run("plugins", "show", "acme", "--kind", "engine").stdout
    assert "it has no hands" in table and "how wide" in table


def test_plugins_show_what_cannot_be_shown(one_of_each: Foreign) -> None:
    assert refused("plugins", "show", "acme") == [
        "fs: acme is the name of 4 plugins: choose with --kind engine|health_probe|load_balancer|orchestrator"
    ]
    assert refused("plugins", "show", "acne") == ["fs: no plugin named acne; installed: acme; did you mean acme?"]
    assert refused("plugins", "show", "acme", "--kind", "events") == [
        "fs: no plugin of the kind events named acme; installed: none"
    ]
    one_of_each.install_plugin("engine", "broken", "raise RuntimeError('no luck')")
    (line,) = refused("plugins", "show", "broken")
    assert line.startswith("fs: engine broken (finsight-engine-broken 1.0) can't be imported: RuntimeError: no luck (")
