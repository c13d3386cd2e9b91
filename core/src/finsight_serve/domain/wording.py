"""Numbers as people read them, in reasons and in what the command line shows."""


def span(duration_s: float) -> str:
    """Two units at most: "45 s", "2 min 30 s", "6 h"."""
    whole_s = round(duration_s)
    for unit, unit_s, lower, lower_s in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole_s >= unit_s:
            rest = whole_s % unit_s // lower_s
            return f"{whole_s // unit_s} {unit}" + (f" {rest} {lower}" if rest else "")
    return f"{duration_s:.2g} s" if duration_s < 1 else f"{whole_s} s"


def counted(number: float, noun: str) -> str:
    """ "1 request", "2,000 requests", "0.5 requests"; `number` to three digits where it is no whole one."""
    text = f"{number:,}" if isinstance(number, int) else f"{number:.3g}"
    return f"{text} {noun}{'' if number == 1 else 's'}"
