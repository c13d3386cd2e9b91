"""Floor and ceiling over time, drawn: characters for the terminal, SVG for pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from io import StringIO
from math import ceil
from shutil import get_terminal_size
from typing import Any, TypeVar
from xml.sax.saxutils import escape

from ..errors import UserError

Number = TypeVar("Number", int, float)

DAY_S = 86400.0
HEIGHT_LINES, MOST_COLUMNS = 14, 110
COLUMNS_PER_TICK, MOST_TICKS = 14, 8
# each of these is told apart from white and from black at a contrast of 3:1 or more, the grey of the text at 4.5:1
GREY, BLUE, ORANGE = "#757575", "#1f78c8", "#c8641e"


@dataclass(frozen=True)
class Step:
    """These bounds hold from `at_s`, UTC epoch seconds, until the next step."""

    at_s: float
    floor: int
    ceiling: int


def draw_in_terminal(steps: Sequence[Step], end_s: float, zone: tzinfo) -> str:
    """Lines of characters, without colours. Says how to get it where plotext is not installed."""
    try:
        import plotext
    except ImportError:
        return "pip install 'finsight-serve[lab]' draws it here"
    edges = [*(step.at_s for step in steps), end_s]
    width = min(get_terminal_size().columns - 2, MOST_COLUMNS)
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(width, HEIGHT_LINES)
    for label, marker, values in (
        ("ceiling", "-", [step.ceiling for step in steps]),
        ("floor", "#", [step.floor for step in steps]),
    ):
        plotext.plot(_twice(edges)[1:-1], _twice(values), label=label, marker=marker)
    most = max(step.ceiling for step in steps)
    plotext.ylim(0, most)
    plotext.yticks(sorted({round(most * index / 4) for index in range(5)}))
    plotext.xticks(*_ticks(edges[0], end_s, zone, min(MOST_TICKS, width // COLUMNS_PER_TICK)))
    drawn: str = plotext.build()
    return "\n".join(line.rstrip() for line in plotext.uncolorize(drawn).splitlines())


def draw_svg(steps: Sequence[Step], end_s: float, zone: tzinfo, title: str) -> str:
    """A page's picture: readable on light and dark, its text kept as text, described for those who don't see it.

    Raises `UserError` where matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise UserError("--svg: matplotlib is not installed; pip install 'finsight-serve[lab]'") from error
    edges = [*(step.at_s for step in steps), end_s]
    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": title, "text.color": GREY, "axes.labelcolor": GREY}
    style |= {"axes.edgecolor": GREY, "xtick.color": GREY, "ytick.color": GREY, "font.family": "sans-serif"}
    with rc_context(style):
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        axes = figure.subplots()
        axes.stairs([s.ceiling for s in steps], edges, baseline=None, color=ORANGE, lw=2, ls="--", label="ceiling")
        axes.stairs([s.floor for s in steps], edges, baseline=None, color=BLUE, lw=2.5, label="floor")
        axes.set(title=title, ylabel="replicas", xlabel=str(zone), xlim=(edges[0], edges[-1]))
        axes.set_ylim(0, max(step.ceiling for step in steps) * 1.08)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xticks(*_ticks(edges[0], end_s, zone, MOST_TICKS))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        page = StringIO()
        figure.savefig(page, format="svg", transparent=True, metadata={"Title": title, "Date": None, "Creator": None})
    described = f"</title>\n <desc>{escape(describe(steps, end_s, zone))}</desc>"
    return page.getvalue().replace("<svg ", '<svg role="img" ', 1).replace("</title>", described, 1)


def describe(steps: Sequence[Step], end_s: float, zone: tzinfo) -> str:
    """The same in words."""
    ends = [*(step.at_s for step in steps[1:]), end_s]
    return " ".join(
        f"Floor {step.floor}, ceiling {step.ceiling} until {datetime.fromtimestamp(at_s, zone):%a %Y-%m-%d %H:%M %Z}."
        for step, at_s in zip(steps, ends, strict=True)
    )


def _ticks(from_s: float, to_s: float, zone: tzinfo, most: int) -> tuple[list[float], list[str]]:
    """Where, and what to write there: local midnights, or shares of the time where fewer than two are in it."""
    first = datetime.fromtimestamp(from_s, zone).date()
    days = range(1, int((to_s - from_s) // DAY_S) + 2)
    midnights = [datetime.combine(first + timedelta(n), time(), zone).timestamp() for n in days]
    midnights = [at_s for at_s in midnights if at_s <= to_s]
    if len(midnights) < 2:
        count = max(1, most - 1)
        shares = [from_s + (to_s - from_s) * n / count for n in range(count + 1)]
        return shares, [f"{datetime.fromtimestamp(at_s, zone):%a %H:%M}" for at_s in shares]
    chosen = midnights[:: ceil(len(midnights) / max(1, most))]
    return chosen, [f"{datetime.fromtimestamp(at_s, zone):%a %d %b}" for at_s in chosen]


def _twice(values: Sequence[Number]) -> list[Number]:
    return [value for value in values for _ in range(2)]
