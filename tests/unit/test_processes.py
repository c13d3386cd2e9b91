"""The real process runner, on real processes."""

import sys
from pathlib import Path

import anyio
import psutil
import pytest

from finsight_serve.env import ProcessId
from finsight_serve.processes import SystemProcesses
from finsight_serve.testing import wait_for

pytestmark = pytest.mark.anyio
PYTHON = sys.executable
# the sleep is the other process's life: it ends by SIGKILL, which the test is about, long before
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


async def test_an_outcome_holds_code_and_output() -> None:
    outcome = await SystemProcesses().run([PYTHON, "-c", "import sys; print('out'); sys.exit('err')"])
    assert (outcome.code, outcome.stdout, outcome.stderr) == (1, "out\n", "err\n")


async def test_a_missing_program_is_an_outcome() -> None:
    outcome = await SystemProcesses().run(["no-such-program"])
    assert (outcome.code, outcome.stderr) == (127, "no-such-program: No such file or directory")


async def test_a_late_process_is_ended_with_its_children() -> None:
    # the sleep is the child's life, of a length by which it is found again: it is killed after half a second
    outcome = await SystemProcesses().run(
        [PYTHON, "-c", "import subprocess; subprocess.run(['sleep', '61.25'])"], timeout_s=0.5
    )
    assert outcome.code == 124
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "61.25"]]


async def test_a_cancelled_run_leaves_no_process() -> None:
    # likewise, killed after 0.3 s
    with anyio.move_on_after(0.3):
        await SystemProcesses().run(["sleep", "61.5"])
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "61.5"]]


async def test_a_started_process_is_found_again_and_stopped(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.log"
    process = SystemProcesses().start([PYTHON, "-c", STUBBORN], env={"X": "1"}, log=log)
    again = SystemProcesses()
    try:
        await wait_for(lambda: log.exists() and log.read_text() == "up\n")
        assert again.alive(process)
        assert not again.alive(ProcessId(process.pid, process.started_s - 100)), "another process of that pid"
    finally:
        await again.stop(process, grace_s=0.2)
    assert not again.alive(process)
    await again.stop(process, grace_s=0.2)  # gone already: nothing to do
