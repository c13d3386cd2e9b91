"""KEDA's formulas evaluated in Python: expr-lang's arithmetic is Python's, but for `condition ? then : else`."""

import math
from collections.abc import Mapping


def evaluate(formula: str, values: Mapping[str, float]) -> float:
    return float(eval(to_python(formula), {"__builtins__": {}, "min": min, "max": max}, dict(values)))


def hpa_count(formula: str, target: int, values: Mapping[str, float]) -> int:
    """What an HPA wants: KEDA cuts the metric to thousandths, and the HPA divides and rounds up."""
    thousandths = int(evaluate(formula, values) * 1000)
    return math.ceil(thousandths / (target * 1000))


def to_python(formula: str) -> str:
    """Every conditional in a formula has brackets of its own."""
    done, rest = "", formula
    while rest:
        head, opened, rest = rest.partition("(")
        done += head + opened
        if opened:
            end = _closing(rest)
            done += _group(rest[:end]) + ")"
            rest = rest[end + 1 :]
    return done


def _group(inside: str) -> str:
    marks = _top_level(inside)
    if "?" not in marks:
        return to_python(inside)
    question, colon = marks["?"], marks[":"]
    condition, then, other = inside[:question], inside[question + 1 : colon], inside[colon + 1 :]
    return f"{to_python(then)} if {to_python(condition)} else {to_python(other)}".strip()


def _closing(text: str) -> int:
    depth = 1
    for index, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return index
    raise ValueError(text)


def _top_level(text: str) -> dict[str, int]:
    depth, found = 0, {}
    for index, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 and character in "?:":
            found[character] = index
    return found
