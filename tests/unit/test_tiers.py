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
    def run(required: str, **tests: str) -> subprocess.CompletedProcess[str]:
        for tier, code in tests.items():
            folder = tmp_path / "tests" / tier
            folder.mkdir(parents=True)
            (folder / f"test_{tier}.py").write_text(code)
        env = {**os.environ, "PYTHONPATH": str(SCRIPTS), "FS_REQUIRE_TIERS": required}
        argv = [sys.executable, "-m", "pytest", "-p", "pytest_tiers", "-p", "no:cacheprovider", "tests"]
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


def test_what_a_plugin_lacks_is_not_missing_on_this_machine(run):
    lacking = SKIP.replace("no nginx here", "acme lacks evict: it never replaces a replica").replace(
        "test_it", "test_more"
    )
    ran = run("contract", contract=PASS + "\n" + lacking)
    assert ran.returncode == 0
    assert "contract: 1 ran, 0 skipped, 1 not for what a plugin lacks" in ran.stdout
