"""The runbook as a drill reads it: sections, their four parts, and the commands in them. Pure, but for `read_text`.

The text that people read is the only place where a command stands; a drill names it by its first words.
"""

import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ..observability.alerts import RUNBOOK

PARTS = ("Symptoms", "Check", "Act", "Verify")
FENCE = re.compile(r"^ *```\n(.*?)^ *```$", flags=re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
PROGRAMS = ("fs", "curl", "df", "du", "ls", "date", "kill", "truncate", "openssl", "kubectl", "patch")
"""What begins a command within a sentence; all else in backticks is a name."""
PLACEHOLDER = re.compile(r"(?<![\w.$-])[A-Z][A-Z-]*[A-Z](?!\w)")
"""A word in capitals: TENANT, OTHER-DEPLOYMENT."""


@dataclass(frozen=True)
class Section:
    anchor: str
    title: str
    about: str  # what stands before the parts
    parts: Mapping[str, str]

    @property
    def heals_by_itself(self) -> bool:
        return "heals by itself" in self.about.lower()

    def commands(self, part: str) -> tuple[str, ...]:
        """The shell's lines in order, without their comments: those of code blocks, and those within sentences."""
        return tuple(_commands(self.parts[part]))

    def command(self, part: str, begins: str) -> str:
        """The one that begins with these words. Raises `LookupError` where there is none, or more than one."""
        found = {line for line in self.commands(part) if f"{line} ".startswith(f"{begins} ")}
        if len(found) != 1:
            raise LookupError(f"{self.anchor}, {part}: {len(found)} commands begin with {begins!r}")
        return found.pop()

    def sentence(self, part: str, begins: str) -> str:
        """The one that begins with these words. Raises `LookupError` where there is none, or more than one."""
        prose = " ".join(FENCE.sub("", self.parts[part]).split())
        found = [one for one in re.split(r"(?<=\.) (?=[A-Z`])|(?<=:) (?=[A-Z])", prose) if one.startswith(begins)]
        if len(found) != 1:
            raise LookupError(f"{self.anchor}, {part}: {len(found)} sentences begin with {begins!r}")
        return found[0]

    def sends_to(self, anchor: str) -> bool:
        return f"(#{anchor})" in self.parts["Act"]


def read_text() -> str:
    """The runbook of this version: an installed package carries it, a checkout has it at its top."""
    inside = files(__package__) / RUNBOOK
    if inside.is_file():
        return inside.read_text(encoding="utf-8")
    return (Path(__file__).parents[4] / "runbooks" / RUNBOOK).read_text(encoding="utf-8")


def parse(text: str) -> Mapping[str, Section]:
    """By anchor, as a heading of words and hyphens gets it; headings without the four parts are left out."""
    found = re.findall(r"^## (.*)\n((?:(?!## ).*\n?)*)", text, flags=re.MULTILINE)
    sections = (_section(title, body) for title, body in found)
    return {one.anchor: one for one in sections if tuple(one.parts) == PARTS}


def fill(command: str, words: Mapping[str, str]) -> str | None:
    """The command with what it leaves to fill in; None where it asks for what is not known here."""
    unknown = [name for name in placeholders(command) if name not in words]
    if unknown:
        return None
    return PLACEHOLDER.sub(lambda found: shlex.quote(words.get(found[0], found[0])), command)


def placeholders(command: str) -> Collection[str]:
    return set(PLACEHOLDER.findall(command))


def _section(title: str, body: str) -> Section:
    about, *rest = re.split(r"^- \*\*(\w+)\*\*", body, flags=re.MULTILINE)
    parts = dict(zip(rest[::2], (text.strip() for text in rest[1::2]), strict=True))
    return Section(title.lower().replace(" ", "-"), title, " ".join(about.split()), parts)


def _commands(part: str) -> Iterator[str]:
    place = 0
    for block in FENCE.finditer(part):
        yield from _in_sentences(part[place : block.start()])
        yield from filter(None, (_without_comment(line) for line in block[1].splitlines()))
        place = block.end()
    yield from _in_sentences(part[place:])


def _in_sentences(text: str) -> Iterator[str]:
    for found in INLINE.findall(text):
        program, _, arguments = found.partition(" ")
        if program in PROGRAMS and arguments:
            yield found


def _without_comment(line: str) -> str:
    """What the shell takes for a comment: from a "#" at the beginning of a word, outside quotes."""
    return re.sub(r"""^((?:[^'"#]|'[^']*'|"[^"]*"|(?<=\S)#)*?)(?:^|\s)#.*$""", r"\1", line.strip()).strip()
