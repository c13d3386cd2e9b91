"""`fs` by a clock that the test sets: the real one, moved by as many seconds as a file says."""

import os
import time
from pathlib import Path

from finsight_serve import processes
from finsight_serve.cli.main import main

OFFSET_ENV = "FS_E2E_CLOCK_OFFSET"
"""Names the file."""


class MovedClock(processes.SystemClock):
    def now(self) -> float:
        return time.time() + float(Path(os.environ[OFFSET_ENV]).read_text())


if __name__ == "__main__":
    processes.SystemClock = MovedClock  # type: ignore[misc]
    main()
