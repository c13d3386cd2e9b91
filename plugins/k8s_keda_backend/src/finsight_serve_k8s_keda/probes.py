"""How the kubelet asks a replica whether it is well: GET /health, which needs no key. Pure."""

import math

from .kinds import Json
from .options import Options
from .service import HTTP

STARTING_PERIOD_S = 2
"""A replica that has loaded its model takes requests at most this much later."""


def probes(options: Options) -> Json:
    tries = math.ceil(options.startup_timeout_s / STARTING_PERIOD_S)
    return {
        "startupProbe": _asked(STARTING_PERIOD_S, tries, timeout_s=2),
        "readinessProbe": _asked(5, 3, timeout_s=5),
        # a minute without one answer: an engine that is merely busy must not be killed
        "livenessProbe": _asked(10, 6, timeout_s=10),
    }


def _asked(period_s: int, failures: int, *, timeout_s: int) -> Json:
    return {
        "httpGet": {"path": "/health", "port": HTTP},
        "periodSeconds": period_s,
        "failureThreshold": failures,
        "timeoutSeconds": timeout_s,
    }
