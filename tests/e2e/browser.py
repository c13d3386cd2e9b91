"""A real Chromium, driven by Playwright; and what axe-core finds wrong with a page in it."""

import fcntl
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

AXE_VERSION = "4.14.1"
AXE_FILE = "package/axe.min.js"
NPM_S = 120.0
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def lacking() -> str:
    """What this machine lacks for a browser; "" where there is one."""
    if find_spec("playwright") is None:
        return "playwright is not installed (it is in the development dependencies)"
    if shutil.which("chromium") is None:
        return "chromium is not installed (scripts/install-packages chromium)"
    return ""


@contextmanager
def opened_browser() -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # as root in a container it has no sandbox, and here it opens nothing but a page of this machine
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()


def axe_source() -> str:
    """From the user's cache, or by npm into it, once. Raises `LookupError` where neither is to be had."""
    cached = user_cache_path("finsight-serve") / f"axe-core-{AXE_VERSION}" / "axe.min.js"
    if not cached.exists():
        if shutil.which("npm") is None:
            raise LookupError(f"axe-core {AXE_VERSION} is not in the cache, and npm is not installed")
        cached.parent.mkdir(parents=True, exist_ok=True)
        with (cached.parent / "lock").open("w") as lock, TemporaryDirectory(dir=cached.parent) as box:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _pack(Path(box), cached)
    return cached.read_text(encoding="utf-8")


def _pack(box: Path, cached: Path) -> None:
    argv = ["npm", "pack", f"axe-core@{AXE_VERSION}", "--silent"]
    done = subprocess.run(argv, cwd=box, capture_output=True, text=True, timeout=NPM_S, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise LookupError(f"axe-core {AXE_VERSION} can't be had by npm: {done.stderr.strip()[:200]}")
    with tarfile.open(next(box.glob("*.tgz"))) as archive:
        archive.extract(AXE_FILE, box, filter="data")
    (box / AXE_FILE).replace(cached)


def violations(page: "Page", axe: str) -> list[str]:
    """One line for each element that breaks a rule.

    It runs outside of the page's own policy, which lets no script in but its own.
    """
    session = page.context.new_cdp_session(page)
    try:
        _evaluate(session, axe)
        options = json.dumps({"runOnly": STANDARDS, "resultTypes": ["violations"]})
        found = _evaluate(session, f"axe.run(document, {options}).then((found) => JSON.stringify(found.violations))")
    finally:
        session.detach()
    return [
        f"{rule['id']}: {node['html'][:160]} ({node['failureSummary'].splitlines()[-1].strip()})"
        for rule in json.loads(found)
        for node in rule["nodes"]
    ]


def _evaluate(session: Any, expression: str) -> Any:
    answer = session.send(
        "Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True}
    )  # fmt: skip
    assert "exceptionDetails" not in answer, answer["exceptionDetails"]
    return answer["result"].get("value")
