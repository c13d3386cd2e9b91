"""A page about a simulation: figures and plots in one file that needs no other, on light and on dark."""

from collections.abc import Sequence
from io import StringIO
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain import AutoscalingPolicy
from .comparison import FIGURES, Comparison
from .extra import load
from .service import ServiceModel
from .simulation import flat_policies
from .trace import Trace

if TYPE_CHECKING:
    from .trace import Array

MOST_POINTS = 1500
INK = "#757575"
COLOURS = ("#1f78c8", "#c8641e", "#2e8b57", "#8a5bc8")  # told apart from white and from black
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
  table { border-collapse: collapse; display: block; overflow-x: auto; }
  th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #7575755a; white-space: nowrap; }
  th:first-child, td:first-child { text-align: left; }
  figure { margin: 2rem 0; }
  svg { width: 100%; height: auto; }
</style>
<h1>{{ title }}</h1>
<p>{{ summary }}</p>
<h2>Figures</h2>
<table>
<tr><th>backend</th>{% for name in names %}<th>{{ name }}</th>{% endfor %}</tr>
{% for backend, row in rows %}<tr><td>{{ backend }}</td>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>
{% for line in agreements %}<p>{{ line }}</p>{% endfor %}
{% for plot in plots %}<figure role="img" aria-label="{{ plot.alt }}">
<figcaption>{{ plot.title }}</figcaption>
{{ plot.svg | safe }}
</figure>
{% endfor %}</html>
"""


def write_report(path: Path, policy: AutoscalingPolicy, trace: Trace, service: ServiceModel, found: Comparison) -> None:
    """Raises `UserError` where a library is missing, `OSError`."""
    jinja2 = load("jinja2")
    page = jinja2.Environment(autoescape=True).from_string(PAGE)
    hours = trace.length_s / 3600
    names = (*FIGURES[:1], "bound_hours", *FIGURES[1:])
    rows = []
    for backend in found.outcomes:
        figures = {**found.figures(backend), "bound_hours": found.bounds[backend].replica_hours}
        rows.append((backend, [f"{figures[name]:,.4g}" for name in names]))
    text = page.render(
        title=f"{trace.name}: what a policy would have done",
        summary=f"{len(trace):,} requests in {hours:,.6g} hours. A replica works on {service.max_concurrency} at a "
        f"time, {service.service_s:g} s each unless the trace knows better, and is ready {service.cold_start_s:g} s "
        f"after it was ordered. The target is {policy.target_ongoing_requests:g} ongoing requests.",
        names=names,
        rows=rows,
        agreements=[
            f"{first} and {second} want as many replicas in {share:.2%} of all seconds."
            for (first, second), share in found.agreements.items()
        ],
        plots=list(_plots(policy, trace, service, found)),
    )
    path.write_text(text, encoding="utf-8")


def _plots(policy: AutoscalingPolicy, trace: Trace, service: ServiceModel, found: Comparison) -> list[dict[str, str]]:
    import numpy as np

    first, end = trace.spans[0][0], trace.spans[-1][1]
    edges = np.linspace(first, end, MOST_POINTS + 1)
    came, _ = np.histogram(trace.arrival_s, edges)
    rate = came / np.diff(edges)
    floor = _floor(policy, trace, service, edges[:-1])
    counts = {name: _most(one.series.t_s, one.series.target, edges) for name, one in found.outcomes.items()}
    waits = {name: _worst(trace.arrival_s, one.wait_s, edges) for name, one in found.outcomes.items()}
    days = edges[:-1] / 86400
    in_span = np.zeros(MOST_POINTS, dtype=bool)
    for start_s, end_s in trace.spans:
        in_span |= (edges[:-1] >= start_s) & (edges[:-1] < end_s)
    shown = [
        ("Load, requests per second", [{"load": rate}], f"at most {rate.max():.3g} requests per second"),
        (
            "Replicas",
            [{name: one, "floor": floor} for name, one in counts.items()],
            "; ".join(f"{name}: {one[in_span].min()} to {one[in_span].max()}" for name, one in counts.items()),
        ),
        (
            "Longest wait, seconds",
            [{name: one} for name, one in waits.items()],
            "; ".join(f"{name}: p99 {one.p99_wait_s:.3g} s" for name, one in found.outcomes.items()),
        ),
    ]
    return [
        {"title": title, "alt": f"{title} over the days of the trace. {told}.", "svg": _svg(days, panels, in_span)}
        for title, panels, told in shown
    ]


def _floor(policy: AutoscalingPolicy, trace: Trace, service: ServiceModel, t_s: "Array") -> "Array":
    import numpy as np

    starts_s, floors = [], []
    for span in trace.spans:
        at_s = span[0]
        for flat, until_s in flat_policies(policy, span, trace.start_s, service.cold_start_s):
            starts_s.append(at_s)
            floors.append(flat.min_replicas)
            at_s = until_s
    return _hold(np.array(starts_s), np.array(floors), t_s)


def _hold(times_s: "Array", values: "Array", at_s: "Array") -> "Array":
    """What stood at each time."""
    import numpy as np

    return values[np.clip(np.searchsorted(times_s, at_s, side="right") - 1, 0, None)]


def _most(times_s: "Array", values: "Array", edges_s: "Array") -> "Array":
    """The most that stood between two edges: what was short is seen, too."""
    import numpy as np

    most = _hold(times_s, values, edges_s[:-1]).copy()
    place = np.clip(np.searchsorted(edges_s, times_s, side="right") - 1, 0, len(most) - 1)
    np.maximum.at(most, place, values)
    return most


def _worst(arrival_s: "Array", wait_s: "Array", edges_s: "Array") -> "Array":
    """The longest wait of those that came between two edges; 0 where none came."""
    import numpy as np

    worst = np.zeros(len(edges_s) - 1)
    place = np.clip(np.searchsorted(edges_s, arrival_s, side="right") - 1, 0, len(worst) - 1)
    np.maximum.at(worst, place, np.maximum(wait_s, 0))
    return worst


def _svg(days: "Array", panels: "Sequence[dict[str, Array]]", in_span: "Array") -> str:
    """Panels one below the other, each with its lines by name."""
    matplotlib = load("matplotlib")
    pyplot: Any = load("matplotlib.figure")
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "finsight", "text.color": INK}):
        figure = pyplot.Figure(figsize=(10, 0.6 + 1.8 * len(panels)))
        rows = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
        for colour, axes, lines in zip(cycle(COLOURS), rows, panels, strict=False):
            _draw(axes, days, lines, in_span, colour)
        rows[-1].set_xlabel("day", color=INK)
        figure.tight_layout()
        drawn = StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = drawn.getvalue()
    return text[text.index("<svg") :]


def _draw(axes: Any, days: "Array", lines: "dict[str, Array]", in_span: "Array", colour: str) -> None:
    import numpy as np

    for name, values in lines.items():
        style = {"linestyle": "--", "color": INK} if name == "floor" else {"color": colour}
        shown = np.where(in_span, values, np.nan)
        axes.plot(days, shown, label=name, linewidth=1.2, drawstyle="steps-post", **style)
    axes.set_ylim(bottom=0)
    axes.tick_params(colors=INK)
    axes.patch.set_alpha(0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    axes.grid(color=INK, alpha=0.2)
    axes.legend(frameon=False, labelcolor=INK, loc="upper right")
