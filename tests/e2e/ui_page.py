"""`fs ui` of a stand, as a process of its own."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from .stand import Stand

ENDED_S = 60.0


@contextmanager
def served_page(stand: Stand, *options: str) -> Iterator[str]:
    """Its URL, on a free port. At the end it must stop by SIGINT."""
    process = subprocess.Popen(
        stand.argv("ui", "--port", "0", *options),
        env=stand.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout and process.stderr
        url = process.stdout.readline().strip()
        assert url.startswith("http://"), url + process.stderr.read()
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(ENDED_S)
        finally:
            process.kill()
            process.communicate()
