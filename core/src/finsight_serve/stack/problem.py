"""What is wrong with a file, and where."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import UserError

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class StackProblem:
    """Rendered as one line: `fs.yaml:12: deployments[0].policy.min_replica: unknown key; did you mean min_replicas?`"""

    file: str  # "" for what came from the command line
    line: int | None  # from 1; None where no line of the file is to blame
    column: int | None
    field: str  # "deployments[0].model"; "" for the whole file
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return ": ".join(part for part in (place, self.field, self.message) if part)


class StackErrors(UserError):
    """Everything wrong with a file at once, in the order of its lines."""

    def __init__(self, problems: Iterable[StackProblem]) -> None:
        unique = dict.fromkeys(problems)
        self.problems = tuple(sorted(unique, key=lambda problem: (problem.line or 0, problem.column or 0)))
        super().__init__("\n".join(map(str, self.problems)))


def dotted(path: Path) -> str:
    """A path as people write it: `deployments[0].model`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
