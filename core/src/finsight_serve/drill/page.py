"""A page about drills: one file that needs no other and no script, on light and on dark."""

import math
from collections.abc import Sequence
from dataclasses import astuple, fields
from datetime import date
from typing import Any

from ..errors import UserError
from .document import about
from .timeline import Finding, Row, row

WIDTH = 100.0
COLOURS = {"fault": "#c8641e", "symptom": "#8a5bc8", "alert": "#c0392b", "action": "#1f78c8", "recovered": "#2e8b57"}
"""Told apart from white and from black."""
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Drills of {{ day }}</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
  table { border-collapse: collapse; display: block; overflow-x: auto; }
  th, td { padding: .3rem .7rem; text-align: left; border-bottom: 1px solid #7575755a; vertical-align: top; }
  td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
  svg { width: 100%; height: 2.2rem; overflow: visible; }
</style>
<h1>Drills of {{ day }}</h1>
<p>{{ about }}</p>
<table>
<tr>{% for name in headers %}<th scope="col">{{ name }}</th>{% endfor %}</tr>
{% for cells in rows %}<tr>{% for cell in cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>
{% for one in drills %}<h2 id="{{ one.name }}">{{ one.name }}</h2>
<p>{{ one.fault }}{% if one.failed %}. <strong>Failed: {{ one.failed }}</strong>{% endif %}</p>
{% if one.marks %}<svg viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label="{{ one.label }}">
<line x1="0" y1="3" x2="100" y2="3" stroke="#757575" stroke-width=".2"/>
{% for mark in one.marks %}<rect x="{{ mark.x }}" y="0" width=".5" height="6" fill="{{ mark.colour }}"/>
{% endfor %}</svg>
{% endif %}<table>
<tr><th scope="col">seconds</th><th scope="col">what</th><th scope="col">which</th></tr>
{% for moment in one.moments %}<tr><td class="number">{{ "%.1f" | format(moment.at_s) }}</td>\
<td>{{ moment.kind }}</td><td>{{ moment.what }}</td></tr>
{% endfor %}</table>
{% endfor %}</html>
"""


def load_library() -> Any:
    """Raises `UserError` where jinja2 is not installed."""
    try:
        import jinja2
    except ModuleNotFoundError:
        raise UserError("jinja2 is not installed: pip install 'finsight-serve[lab]'") from None
    return jinja2


def page(findings: Sequence[Finding], day: date) -> str:
    """HTML. Raises `UserError` where a library is missing."""
    template = load_library().Environment(autoescape=True).from_string(PAGE)
    text: str = template.render(
        day=day.isoformat(),
        about=about(findings, day).replace("`", ""),
        headers=[field.name.replace("_", " ") for field in fields(Row)],
        rows=[astuple(row(one)) for one in findings],
        drills=[
            {
                "name": one.name,
                "fault": one.fault,
                "failed": one.failed,
                "moments": one.moments,
                "marks": _marks(one),
                "label": "; ".join(f"{m.kind} at {m.at_s:.1f} s" for m in one.moments if m.kind in COLOURS),
            }
            for one in findings
        ],
    )
    return text


def _marks(finding: Finding) -> list[dict[str, object]]:
    """Where each of the five moments lies between the fault and the last of them."""
    shown = [moment for moment in finding.moments if moment.kind in COLOURS]
    end_s = max((moment.at_s for moment in shown), default=0.0)
    if math.isclose(end_s, 0.0):
        return []
    return [{"x": round(WIDTH * max(0.0, moment.at_s) / end_s, 2), "colour": COLOURS[moment.kind]} for moment in shown]
