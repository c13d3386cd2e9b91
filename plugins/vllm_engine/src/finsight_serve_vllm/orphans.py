"""A vLLM plugin, loaded by vLLM in each process it starts: ends the process when its parent is gone.

vLLM's engine core does not notice that the server which started it was killed, and would keep its memory for ever.
"""

import multiprocessing
import os
import signal
import threading

from .environment import OWNED_ENV


def end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None or OWNED_ENV not in os.environ:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()
