"""Kubernetes' quantities ("500m", "16Gi") in the one spelling that the API server gives back. Pure."""

import math
import re
from decimal import Decimal

_TEXT = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<suffix>[KMGTPE]i|[kMGTPE])?")
_BINARY = {suffix: 1024**power for power, suffix in enumerate(("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))}
_DECIMAL = {suffix: 1000**power for power, suffix in enumerate(("", "k", "M", "G", "T", "P", "E"))}


def canonical_bytes(text: str) -> str:
    """ "1024Mi" → "1Gi". Raises `ValueError` for what is no whole number of bytes."""
    match = _TEXT.fullmatch(text)
    suffix = (match["suffix"] or "") if match else ""
    size = Decimal(match["number"]) * (_BINARY | _DECIMAL)[suffix] if match else Decimal(0)
    if size <= 0 or size % 1:
        raise ValueError(f'{text!r} is no size: write a whole number of bytes, as "16Gi" or "500M"')
    return _shortest(int(size), _BINARY if suffix.endswith("i") else _DECIMAL)


def canonical_cpus(cpus: float) -> str:
    """1.0 → "1", 0.1 → "100m"; rounded up to thousandths, which is as fine as they go."""
    thousandths = math.ceil(Decimal(repr(cpus)) * 1000)
    return _shortest(thousandths // 1000, _DECIMAL) if thousandths % 1000 == 0 else f"{thousandths}m"


def _shortest(number: int, units: dict[str, int]) -> str:
    suffix, unit = max(((suffix, unit) for suffix, unit in units.items() if number % unit == 0), key=lambda one: one[1])
    return f"{number // unit}{suffix}"
