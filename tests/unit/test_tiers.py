"""The plugin behind `make test`: it says what each tier ran, and fails where a required one was not run whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
PASS, SKIP = "def test_it(): pass", "import pytest\ndef test_it(): pytest.skip('no nginx here')"
BOTH = PASS + "\n" + SKIP.replace("test_it", "test_more")
SKIPPED_MODULE = "import pytest\npytest.skip('no docker here', allow_module_level=True)"


@pytest.fixture
def run(tmp_path):
    def run(required: str, only: str = "", **tests: str) -> subprocess.CompletedProcess[str]:
        for tier, code in tests.items():
            folder = tmp_path / "tests" / tier
            folder.mkdir(parents=True)
            (folder / f"test_{tier}.py").write_text(code)
        env = {**os.environ, "PYTHONPATH": str(SCRIPTS), "FS_REQUIRE_TIERS": required}
        argv = [sys.executable, "-m", "pytest", "-p", "pytest_tiers", "-p", "no:cacheprovider", *only.split(), "tests"]
        return subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True)

    return run


def test_what_was_skipped_is_named_and_passes_where_it_is_not_required(run):
    ran = run("unit", unit=PASS, integration=SKIP, e2e=SKIPPED_MODULE)
    assert ran.returncode == 0
    assert "unit: 1 ran, 0 skipped" in ran.stdout
    assert "integration: 0 ran, 1 skipped, 0 s\n  1 skipped: no nginx here" in ran.stdout
    assert "1 skipped: no docker here" in ran.stdout


@pytest.mark.parametrize("tests", [{"e2e": SKIP}, {"e2e": SKIPPED_MODULE}, {}, {"e2e": BOTH}])
def test_a_required_tier_that_lacks_something_fails(run, tests):
    ran = run("unit,e2e", unit=PASS, **tests)
    assert ran.returncode == 1
    assert "required here, and not run whole: e2e" in ran.stdout
    assert ran.stdout.strip().splitlines()[-1].startswith("=")  # pytest's own closing line


def test_required_tiers_that_ran_whole_pass(run):
    assert run("unit,e2e", unit=PASS, e2e=PASS).returncode == 0


def test_a_run_that_is_cut_off_has_told_what_failed(run):
    cut_off = "import os\ndef test_it(): assert 'seen' == 'wanted'\ndef test_more(): os._exit(3)"
    ran = run("unit", unit=cut_off)
    assert ran.returncode == 3
    assert "test_unit.py::test_it failed (call):" in ran.stdout and "assert 'seen' == 'wanted'" in ran.stdout


def test_what_was_left_out_is_counted(run):
    ran = run("unit", unit=PASS + "\n" + PASS.replace("test_it", "test_long"), only="-k test_it")
    assert "unit: 1 ran, 0 skipped, 1 left out, 0 s" in ran.stdout


def test_whole_stacks_run_beside_the_rest(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from run_tiers import paths, plan_lanes

    assert plan_lanes(["cluster", "unit", "e2e", "contract"]) == {
        "parts": ("unit", "contract"),
        "stacks": ("e2e", "cluster"),
    }
    assert plan_lanes(["integration"]) == {"parts": ("integration",)}
    assert paths(("unit", "contract"))[-2:] == ["tests/unit", "tests/contract"]


def test_what_failed_is_told_by_each_lane(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from run_tiers import pass_on

    printed = "a.py::test_a PASSED\nFAILED a.py::test_b - assert 1 == 2\nERROR a.py::test_c - no nginx\n"
    lane = subprocess.Popen(
        [sys.executable, "-c", f"print({printed!r}, end=''); raise SystemExit(1)"], stdout=subprocess.PIPE, text=True
    )
    assert pass_on("parts", lane) == (1, ["FAILED a.py::test_b - assert 1 == 2", "ERROR a.py::test_c - no nginx"])
    assert "parts  a.py::test_a PASSED\n" in capsys.readouterr().out


def test_an_unknown_tier_is_refused_in_words():
    ran = subprocess.run([str(SCRIPTS / "test"), "unti"], capture_output=True, text=True)
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1].endswith(
        "no tier is named unti; there are unit, contract, integration, e2e, cluster"
    )


def test_what_a_plugin_lacks_is_not_missing_on_this_machine(run):
    lacking = SKIP.replace("no nginx here", "acme lacks evict: it never replaces a replica").replace(
        "test_it", "test_more"
    )
    ran = run("contract", contract=PASS + "\n" + lacking)
    assert ran.returncode == 0
    assert "contract: 1 ran, 0 skipped, 1 not for what a plugin lacks" in ran.stdout
