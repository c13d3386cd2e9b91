"""A conformance report: what was checked, of which versions, when, and how it went; without anybody's secrets."""

import html
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from .. import __version__
from ..errors import UserError
from ..host import Host
from .conformance_run import Check, Outcome, Subject

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark; }}
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
  table {{ border-collapse: collapse; }}
  th, td {{ padding: .3rem .7rem; text-align: left; vertical-align: top; border-bottom: 1px solid #7575755a; }}
</style>
<h1>{title}</h1>
<p>{verdict}</p>
{about}
<h2>Checks</h2>
{checks}
</html>
"""
FORMATS = (".html", ".md")
HIDDEN = "(hidden)"


@dataclass(frozen=True)
class Report:
    subject: str
    kind: str
    about: Mapping[str, str]
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        return verdict(self.checks)


def check_format(path: Path) -> None:
    """Raises `UserError`."""
    if path.suffix not in FORMATS:
        raise UserError(f"{path}: a report is written as {' or '.join(FORMATS)}: name the file so")


def verdict(checks: Sequence[Check]) -> str:
    """ "41 passed, 2 lacking, 1 skipped, 0 failed" """
    counts = Counter(check.outcome for check in checks)
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in get_args(Outcome))


def make_report(subject: Subject, host: Host, checks: Sequence[Check], at_s: float, ran_on: str = "") -> Report:
    """`ran_on`: the versions of what is no part of the plugin, in the words of whoever ran it."""
    row = host.find(subject.kind, subject.plugin)
    about = {
        "plugin": f"{subject.kind.replace('_', ' ')} {subject.plugin} of {row.distribution} {row.version}",
        "contract": f"finsight-serve {__version__}",
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        **({"ran on": ran_on} if ran_on else {}),
        "date": f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M} UTC",
        "options": ", ".join(_shown_options(subject, host)) or "the defaults",
    }
    return Report(subject.name, subject.kind, about, tuple(checks))


def write_report(path: Path, report: Report) -> None:
    """Raises `OSError`."""
    path.write_text(_page(report) if path.suffix == ".html" else _markdown(report), encoding="utf-8")


def _shown_options(subject: Subject, host: Host) -> Iterator[str]:
    """Those that were set. A mapping may hold anything, a path says who ran it: of both only that they were set."""
    options = host.options(subject.kind, subject.plugin, subject.options)
    for name in subject.options:
        value = getattr(options, name, None)
        is_path = isinstance(value, str) and value.startswith(("/", "~"))
        yield f"{name}: {value if isinstance(value, bool | int | float | str) and not is_path else HIDDEN}"


def _markdown(report: Report) -> str:
    from tabulate import tabulate

    about = [[cell.replace("|", "\\|") for cell in row] for row in report.about.items()]
    checks = [[cell.replace("|", "\\|") for cell in row] for row in _rows(report)]
    parts = (
        f"# Conformance of {report.subject}",
        report.verdict,
        tabulate(about, tablefmt="github", headers=("", ""), disable_numparse=True),
        "## Checks",
        tabulate(checks, tablefmt="github", headers=HEADERS, disable_numparse=True),
    )
    return "\n\n".join(parts) + "\n"


def _page(report: Report) -> str:
    from tabulate import tabulate

    return PAGE.format(
        title=html.escape(f"Conformance of {report.subject}"),
        verdict=report.verdict,
        about=tabulate(report.about.items(), tablefmt="html", disable_numparse=True),
        checks=tabulate(_rows(report), tablefmt="html", headers=HEADERS, disable_numparse=True),
    )


HEADERS = ("check", "outcome", "why", "seconds")


def _rows(report: Report) -> list[list[str]]:
    return [[check.check, check.outcome, check.why, f"{check.duration_s:.1f}"] for check in report.checks]
