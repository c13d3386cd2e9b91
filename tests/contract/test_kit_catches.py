"""A kit that passes everything proves nothing: each bad backend must fail the check that is about its fault."""

import os
import re
import secrets
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

RUN_ENV = "FINSIGHT_KIT_RUN"
CASES = {
    "Impure": "test_compile_is_pure",
    "Writes": "test_compile_is_pure",
    "Boasts": "test_exact_means_that_an_artefact_changes[upscale_delay_s]",
    "Silent": "test_every_policy_field_has_a_grade",
    "Terse": "test_every_policy_field_has_a_grade",
    "Leaks": "test_secrets_are_in_secret_artefacts_only",
    "Unexplained": "test_lacks_says_why",
    "Lenient": "test_options_are_documented_and_strict",
    "Restarts": "test_apply_again_changes_nothing",
    "Forgets": "test_second_instance_adopts",
    "Prunes": "test_owners_leave_each_other_alone",
    "Ignores": "test_evict_replaces_that_one",
    "Unguarded": "test_replicas_answer_to_their_key_only",
    "Stays": "test_empty_want_removes_all",
}


TEST_FILE = """
import bad_backends
import pytest
from finsight_serve.testing import OrchestratorConformance

def conformance(plugin_class):
    class Conformance(OrchestratorConformance):
        @pytest.fixture
        def plugin(self):
            return plugin_class

        @pytest.fixture
        def deadline_s(self):
            return 10.0

    return Conformance

"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """From "Bad::check" to the word for its outcome; one run of pytest for all, apart from this one."""
    folder = tmp_path_factory.mktemp("bad")
    classes = "".join(f"class Test{bad}(conformance(bad_backends.{bad})): ...\n" for bad in CASES)
    (folder / "test_bad.py").write_text(TEST_FILE + classes)
    mark = secrets.token_hex(8)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"]
            + [f"test_bad.py::Test{bad}::{check}" for bad, check in CASES.items()],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), RUN_ENV: mark},
            capture_output=True,
            text=True,
            timeout=300,
        )
    finally:
        end_marked(mark)
    found = dict(re.findall(r"^test_bad\.py::Test(\S+) ([A-Z]+)", result.stdout, re.MULTILINE))
    assert found, result.stdout + result.stderr
    return found


@pytest.mark.parametrize(("bad", "check"), CASES.items())
def test_kit_catches(bad: str, check: str, outcomes: dict[str, str]) -> None:
    assert outcomes[f"{bad}::{check}"] == "FAILED"


def end_marked(mark: str) -> None:
    """What a bad backend has left behind."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(RUN_ENV) == mark:
                process.kill()
