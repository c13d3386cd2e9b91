# ruff: noqa: E501
# (a table of mistakes reads best with one to a line)
"""Policies in Python modules, read by real processes."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from textwrap import dedent

import psutil
import pytest

from finsight_serve.errors import UserError
from finsight_serve.host import Host
from finsight_serve.policy import AutoscalingPolicy, WeeklyHours, Window
from finsight_serve.stack import PolicyError, StackErrors, load_policy, load_stack, read_policy
from finsight_serve.stack.python_policies import PolicyModules, read_module, timeout_s

from ..foreign import Foreign

MODULE = """\
from dataclasses import dataclass, replace
from finsight_serve.policy import *

print("a word on stdout")
import sys; print("and one on stderr", file=sys.stderr)
DEFAULT = AutoscalingPolicy(max_replicas=4, smoothing_factor=0.5)
MARKET_HOURS = replace(DEFAULT, min_replicas=2)
NIGHTS = replace(DEFAULT, schedule=(Window(weekly=WeeklyHours(start="22:00", end="06:00", timezone="UTC"), max_replicas=2),))
DICT = {"max_replicas": 4}
FUNCTION = lambda: DEFAULT
TEXT = "text"
NOT_A_NUMBER = replace(DEFAULT, upscale_delay_s=float("nan"))
ENDLESS = replace(DEFAULT, upscale_delay_s=1e999)
STRING = replace(DEFAULT, upscale_delay_s=DEFAULT)if False else DEFAULT.__class__(max_replicas=4.5)

@dataclass
class Theirs:
    min_replicas: int = 1
    max_replicas: int = 3
    target_ongoing_requests: float = 2.0
    downscale_delay_s: float = 600.0
    scale_to_zero_delay_s: float | None = None

THEIRS = Theirs()
WITH_MORE = Theirs(scale_to_zero_delay_s=5.0)
UPSIDE_DOWN = Theirs(min_replicas=4)
"""
WINDOW = Window(weekly=WeeklyHours(start="22:00", end="06:00", timezone="UTC"), max_replicas=2)
DEFAULT = AutoscalingPolicy(max_replicas=4, smoothing_factor=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack")
    (folder / "serving").mkdir()
    (folder / "serving" / "__init__.py").touch()
    (folder / "serving" / "policy.py").write_text(MODULE)
    return folder


@pytest.fixture(scope="module")
def modules(folder: Path) -> PolicyModules:
    """Which remember what they have read, so that one process does for many tests."""
    return PolicyModules(folder)


@pytest.fixture
def read_before(modules: PolicyModules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finsight_serve.stack.loader.PolicyModules", lambda _: modules)
    monkeypatch.setattr("finsight_serve.stack.policies.PolicyModules", lambda _: modules)


def write(folder: Path, source: str) -> str:
    (folder / "trouble.py").write_text(dedent(source))
    return "trouble:DEFAULT"


def complaint(reference: str, folder: Path) -> str:
    with pytest.raises(PolicyError) as caught:
        load_policy(reference, folder)
    return str(caught.value)


def test_a_policy_is_what_the_module_says(folder: Path) -> None:
    assert load_policy("serving.policy:DEFAULT", folder) == DEFAULT
    assert load_policy("serving.policy:NIGHTS", folder) == AutoscalingPolicy(
        max_replicas=4, smoothing_factor=0.5, schedule=(WINDOW,)
    )


def test_settings_of_another_library_mean_what_they_mean_there(folder: Path) -> None:
    assert load_policy("serving.policy:THEIRS", folder) == AutoscalingPolicy(
        max_replicas=3, target_ongoing_requests=2, downscale_delay_s=600
    )


def test_reading_prints_nothing_and_writes_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_policy("serving.policy:DEFAULT", folder)
    assert capfd.readouterr() == ("", "")
    assert [file.name for file in (folder / "serving").iterdir() if file.name == "__pycache__"] == []


def test_it_is_found_from_any_working_directory(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert load_policy("serving.policy:DEFAULT", Path(folder.name)) == DEFAULT
    monkeypatch.chdir(tmp_path)
    assert load_policy("serving.policy:DEFAULT", folder) == DEFAULT


def test_a_module_may_read_a_file_beside_it_and_bear_the_name_of_one_of_pythons(tmp_path: Path) -> None:
    (tmp_path / "limit.txt").write_text("7")
    (tmp_path / "colorsys.py").write_text(
        "from finsight_serve.policy import AutoscalingPolicy\nDEFAULT = AutoscalingPolicy(max_replicas=int(open('limit.txt').read()))"
    )
    assert load_policy("colorsys:DEFAULT", tmp_path).max_replicas == 7


@pytest.mark.parametrize(
    ("reference", "line"),
    [
        ("serving.policy:DEFALT", "serving.policy has no DEFALT; did you mean DEFAULT?"),
        ("serving.policy:x", "serving.policy has no x; allowed: DEFAULT, MARKET_HOURS, NIGHTS, STRING, THEIRS"),
        ("serving.policy:DICT", "serving.policy:DICT is a dict (write AutoscalingPolicy(**…)), not an AutoscalingPolicy"),
        ("serving.policy:FUNCTION", "serving.policy:FUNCTION is a function, not an AutoscalingPolicy"),
        ("serving.policy:TEXT", "serving.policy:TEXT is of type str, not an AutoscalingPolicy"),
        ("serving.policy:Theirs", "serving.policy:Theirs is the class Theirs, not an AutoscalingPolicy"),
        ("serving.policy:NOT_A_NUMBER", "serving.policy:NOT_A_NUMBER is no policy: every number must be finite, found NaN"),
        ("serving.policy:ENDLESS", "serving.policy:ENDLESS is no policy: every number must be finite, found Infinity"),
        ("serving.policy:STRING", "serving.policy:STRING: max_replicas: must be a whole number, found 4.5"),
        ("serving.policy:WITH_MORE", "serving.policy:WITH_MORE is no policy: scale_to_zero_delay_s: is set, and an AutoscalingPolicy has no such field: leave it out"),
        ("serving.policy:UPSIDE_DOWN", "serving.policy:UPSIDE_DOWN is no policy: max_replicas: must be at least min_replicas (4), found 3"),
        ("serving.polcy:DEFAULT", "no module named serving.polcy: looked in {folder}/serving; did you mean policy?"),
        ("no_such_module:DEFAULT", "no module named no_such_module: looked in {folder} and on the Python path"),
        ("serving.policy.more:DEFAULT", "no module named serving.policy.more: serving.policy is a file, not a folder of modules"),
        ("serving:DEFAULT", "serving has no DEFAULT, and no policy at all"),
        ("serving/policy.py:DEFAULT", 'must be "module:NAME", as serving.policy:DEFAULT, found "serving/policy.py:DEFAULT"'),
        ("DEFAULT", 'must be "module:NAME", as serving.policy:DEFAULT, found "DEFAULT"'),
    ],
)  # fmt: skip
def test_what_is_no_policy(folder: Path, read_before: None, reference: str, line: str) -> None:
    assert complaint(reference, folder) == line.format(folder=folder)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("x = 1\nraise ValueError('no luck\\nat all')", "trouble raises when it is imported: ValueError: no luck (trouble.py:2)"),
        ("def f(:", "trouble raises when it is imported: SyntaxError: invalid syntax (trouble.py:1)"),
        ("\nimport no_such_library", "trouble raises when it is imported: ModuleNotFoundError: No module named 'no_such_library' (trouble.py:2); install it where fs is installed"),
        ("from finsight_serve.policy import AutoscalingPolicy\nDEFAULT = AutoscalingPolicy(max_replicas=0)", "trouble raises when it is imported: FieldError: max_replicas: must be greater than 0, found 0 (trouble.py:2)"),
        ("raise SystemExit(3)", "trouble exits when it is imported: SystemExit: 3 (trouble.py:1)"),
        ("raise KeyboardInterrupt", "trouble raises when it is imported: KeyboardInterrupt (trouble.py:1)"),
        ("import os; os._exit(0)", "trouble ended the process that imported it with exit code 0, and no policy was read"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "trouble ended the process that imported it by SIGSEGV, and no policy was read"),
        ("import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'garbage')\n    except OSError: pass\nos._exit(0)", "trouble ended the process that imported it with exit code 0, and no policy was read"),
        # the sleep is the other process's: it never ends by itself, which the test is about, and is killed after 3 s
        ("import time\nwhile True: time.sleep(60)", "trouble takes more than 3 s to import, and was stopped (FS_POLICY_TIMEOUT_S sets the limit)"),
    ],
)  # fmt: skip
def test_modules_that_go_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, line: str) -> None:
    monkeypatch.setenv("FS_POLICY_TIMEOUT_S", "3" if "while True" in source else "60")
    assert complaint(write(tmp_path, source), tmp_path) == line


def is_over(pid: int) -> bool:
    """Whether the process ends within 10 s, having been killed."""
    deadline_s = time.monotonic() + 10
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        while process.status() != psutil.STATUS_ZOMBIE:
            with suppress(psutil.TimeoutExpired):
                process.wait(0.1)
            if time.monotonic() > deadline_s:
                return False
    return True


def test_what_a_module_started_ends_with_the_reading(tmp_path: Path) -> None:
    # the sleep is the child's life: it is killed with its parent's group, which the test is about, long before
    child = f"subprocess.Popen([{sys.executable!r}, '-c', 'import time; time.sleep(600)'])"
    write(tmp_path, f"import subprocess\nprocess = {child}\nopen('pid', 'w').write(str(process.pid))")
    read_module("trouble", tmp_path, 60)
    pid = int((tmp_path / "pid").read_text())
    try:
        assert is_over(pid)
    finally:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).kill()


def test_a_thread_that_goes_on_does_not_hold_the_answer_up(tmp_path: Path) -> None:
    # the sleep is the thread's life: the whole process is killed, which the test is about, long before
    write(tmp_path, "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()")
    assert read_module("trouble", tmp_path, 60).policies == {}


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("FS_POLICY_TIMEOUT_S", text)
    with pytest.raises(
        PolicyError, match=f"^FS_POLICY_TIMEOUT_S: must be a number of seconds greater than 0, found {text}$"
    ):
        timeout_s()


STACK = """\
name: small
deployments:
  - name: chat
    model: m
    policy: serving.policy:DEFAULT
  - name: code
    model: m
    policy:
      from: serving.policy:DEFAULT
      max_replicas: 8
      schedule:
        - weekly: {start: 22:00, end: 06:00, timezone: UTC}
          policy: {from: serving.policy:MARKET_HOURS, upscale_delay_s: 0}
        - weekly: {start: 12:00, end: 13:00, timezone: UTC}
          policy: serving.policy:MARKET_HOURS
  - name: plain
    model: m
"""


def load(foreign: Foreign, folder: Path, text: str) -> list[AutoscalingPolicy]:
    (folder / "fs.yaml").write_text(text)
    return [deployment.policy for deployment in load_stack(folder / "fs.yaml", Host()).deployments]


def lines(foreign: Foreign, folder: Path, text: str) -> list[str]:
    with pytest.raises(StackErrors) as caught:
        load(foreign, folder, text)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_a_file_names_policies_and_says_what_differs(one_of_each: Foreign, folder: Path) -> None:
    chat, code, plain = load(one_of_each, folder, STACK)
    assert (chat, plain) == (DEFAULT, AutoscalingPolicy())
    assert (code.max_replicas, code.smoothing_factor) == (8, 0.5)
    night, noon = (window.policy for window in code.schedule)
    assert night == AutoscalingPolicy(min_replicas=2, max_replicas=4, smoothing_factor=0.5, upscale_delay_s=0)
    assert noon == AutoscalingPolicy(min_replicas=2, max_replicas=4, smoothing_factor=0.5)
    assert read_policy("fs.yaml:code", folder) == code
    assert read_policy(f"{folder}/fs.yaml:chat", Path("/")) == chat
    assert read_policy("serving.policy:DEFAULT", folder) == chat


def test_a_module_is_imported_once_for_a_file(one_of_each: Foreign, tmp_path: Path) -> None:
    (tmp_path / "serving.py").write_text(MODULE + "\nopen('reads', 'a').write('x')\n")
    load(one_of_each, tmp_path, STACK.replace("serving.policy", "serving"))
    assert (tmp_path / "reads").read_text() == "x"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("policy: serving.policy:DEFAULT", "policy: serving.policy:DEFALT", "fs.yaml:5: deployments[0].policy: serving.policy has no DEFALT; did you mean DEFAULT?"),
        ("policy: serving.policy:DEFAULT", "policy: default", 'fs.yaml:5: deployments[0].policy: must be "module:NAME", as serving.policy:DEFAULT, found "default"'),
        ("from: serving.policy:DEFAULT", "from: serving.policy:DICT", "fs.yaml:9: deployments[1].policy.from: serving.policy:DICT is a dict (write AutoscalingPolicy(**…)), not an AutoscalingPolicy"),
        ("from: serving.policy:DEFAULT", "from: 5", 'fs.yaml:9: deployments[1].policy.from: must be "module:NAME", as serving.policy:DEFAULT, found 5'),
        ("from: serving.policy:DEFAULT", "form: serving.policy:DEFAULT", "fs.yaml:9: deployments[1].policy.form: unknown key; did you mean from?"),
        ("max_replicas: 8", "max_replicas: 0", "fs.yaml:10: deployments[1].policy.max_replicas: must be greater than 0, found 0"),
        ("max_replicas: 8", "initial_replicas: 9", "fs.yaml:10: deployments[1].policy.initial_replicas: must be from min_replicas (1) to max_replicas (4), found 9"),
        ("upscale_delay_s: 0", "upscale_delays: 0", "fs.yaml:13: deployments[1].policy.schedule[0].policy.upscale_delays: unknown key; did you mean upscale_delay_s?"),
        ("upscale_delay_s: 0", "upscale_delay_s: -1", "fs.yaml:13: deployments[1].policy.schedule[0].policy.upscale_delay_s: must be at least 0, found -1"),
        ("from: serving.policy:MARKET_HOURS", "from: serving.policy:NIGHTS", "fs.yaml:13: deployments[1].policy.schedule[0].policy: must not have a schedule of its own"),
        ("policy: serving.policy:MARKET_HOURS", "policy: serving.policy:TEXT", "fs.yaml:15: deployments[1].policy.schedule[1].policy: serving.policy:TEXT is of type str, not an AutoscalingPolicy"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_line(
    one_of_each: Foreign, folder: Path, read_before: None, old: str, new: str, expected: str
) -> None:
    assert lines(one_of_each, folder, STACK.replace(old, new, 1)) == [expected]


def test_one_problem_does_not_hide_another(one_of_each: Foreign, folder: Path) -> None:
    text = STACK.replace("serving.policy:DEFAULT", "nowhere:X", 1).replace("max_replicas: 8", "max_replicas: many")
    found = lines(one_of_each, folder, text.replace("model: m", "modell: m", 1))
    assert [line.split(": ")[1] for line in found] == [
        "deployments[0].model",
        "deployments[0].modell",
        "deployments[0].policy",
        "deployments[1].policy.max_replicas",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fs.yaml", "fs.yaml: say whose policy: {folder}/fs.yaml:chat, {folder}/fs.yaml:code, {folder}/fs.yaml:plain"),
        ("fs.yaml:plan", "fs.yaml:plan: no deployment is named plan; did you mean plain?"),
        ("none.yaml", "{folder}/none.yaml: no such file; `fs init` writes one"),
        ("empty.yaml", "empty.yaml: there is no deployment in it"),
    ],
)
def test_policies_that_a_command_line_can_not_find(folder: Path, text: str, message: str) -> None:
    (folder / "fs.yaml").write_text(STACK)
    (folder / "empty.yaml").write_text("name: empty\n")
    with pytest.raises(UserError) as caught:
        read_policy(text, folder)
    assert str(caught.value) == message.format(folder=folder)


def test_the_module_sees_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FS_TEST_REPLICAS", "5")
    write(
        tmp_path,
        "import os\nfrom finsight_serve.policy import AutoscalingPolicy\nDEFAULT = AutoscalingPolicy(max_replicas=int(os.environ['FS_TEST_REPLICAS']))",
    )
    assert load_policy("trouble:DEFAULT", tmp_path).max_replicas == 5
    assert os.environ["FS_TEST_REPLICAS"] == "5"
