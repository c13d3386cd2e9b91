"""The shipped rules, faster: intervals, `for:`, windows and fixed waits are divided by one factor. Pure."""

import re
from collections.abc import Mapping
from io import StringIO
from typing import Any

from ..observability.alerts import WAITS_S
from ..observability.prometheus import ALERT_RULES, CONFIG, RECORDING_RULES

MOST = 30
"""Prometheus then looks twice a second; faster than that, a scrape of a busy machine comes late."""
UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION = r"(\d+)(ms|s|m|h|d)"
WAIT = re.compile(rf"(?<![\w.\[])({'|'.join(str(wait_s) for wait_s in WAITS_S)})(?![\w.\]])")


def hasten(files: Mapping[str, str], speed: int) -> Mapping[str, str]:
    """Of what `fs plan -o prometheus` writes, each file. Thresholds that are no time stay as they are."""
    return {name: _dump(_hastened(name, _load(text), speed)) for name, text in files.items()}


def divided(duration: str, speed: int) -> str:
    """ "5m" by 15 → "20000ms". Raises `ValueError` for what is no duration of one unit."""
    found = re.fullmatch(DURATION, duration)
    if found is None:
        raise ValueError(f"not a duration: {duration}")
    return f"{max(1, round(int(found[1]) * UNITS_MS[found[2]] / speed))}ms"


def hastened_expr(expr: str, speed: int) -> str:
    windows = re.sub(rf"(?<=[\[:]){DURATION}(?=[\]:])", lambda found: divided(found[0], speed), expr)
    return WAIT.sub(lambda found: f"{int(found[0]) / speed:g}", windows)


def _hastened(name: str, data: Any, speed: int) -> Any:
    if name == CONFIG:
        return _intervals(data, speed)
    if name in (ALERT_RULES, RECORDING_RULES):
        for rule in (rule for group in data["groups"] for rule in group["rules"]):
            rule["expr"] = hastened_expr(rule["expr"], speed)
            if "for" in rule:
                rule["for"] = divided(rule["for"], speed)
    return data


def _intervals(data: Any, speed: int) -> Any:
    if isinstance(data, dict):
        for key, value in data.items():
            data[key] = divided(value, speed) if str(key).endswith("_interval") else _intervals(value, speed)
    elif isinstance(data, list):
        for one in data:
            _intervals(one, speed)
    return data


def _load(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML().load(text)


def _dump(data: Any) -> str:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 4096
    out = StringIO()
    yaml.dump(data, out)
    return out.getvalue()
