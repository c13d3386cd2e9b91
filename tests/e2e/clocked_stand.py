"""A stand whose `fs` goes by a clock that the test sets."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from . import clocked
from .stand import Stand


class ClockedStand(Stand):
    """Its `fs` goes by a clock of its own: the machine's, until it is moved."""

    def __init__(self, name: str = "clocked") -> None:
        super().__init__(name)
        self._offset = self.folder / "clock-offset"
        self.move_clock(0.0)

    def argv(self, *command: str) -> list[str]:
        (python, _, _, *rest) = super().argv(*command)
        return [python, str(Path(clocked.__file__)), *rest]

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, clocked.OFFSET_ENV: str(self._offset)}

    def move_clock(self, by_s: float) -> None:
        """Against the machine's own."""
        fresh = self._offset.with_suffix(".new")
        fresh.write_text(repr(by_s))
        fresh.replace(self._offset)

    def set_clock(self, time_of_day: str, *, before_s: float = 0.0) -> None:
        """On an ordinary Tuesday in New York."""
        then = datetime.fromisoformat(f"2026-11-24T{time_of_day}").replace(tzinfo=ZoneInfo("America/New_York"))
        self.move_clock(then.timestamp() - before_s - datetime.now().timestamp())

    def cut_overs(self) -> list[str]:
        return [event.reason for event in self.seen().events if event.kind == "policy_cut_over"]
