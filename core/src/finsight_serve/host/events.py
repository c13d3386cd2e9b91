"""The two events, each plugin's hook called on its own: one that raises is a line, and the others still run."""

from collections.abc import Callable, Mapping

import pluggy

from ..domain import Event
from ..plugin import Plan
from .error import describe


class Events:
    def __init__(self, hooks: Mapping[str, pluggy.HookRelay], report: Callable[[str], None]) -> None:
        self._hooks = hooks
        self._report = report

    def before_apply(self, backend: str, plan: Plan) -> str | None:
        """The first veto, "NAME: reason"; None lets the plan pass. A hook that raises is no veto."""
        for name, hook in self._hooks.items():
            try:
                reasons = hook.before_apply(backend=backend, plan=plan)
            except Exception as error:
                self._report(f"plugin {name}: before_apply raised {describe(error)}")
                continue
            for reason in reasons:
                if reason:
                    return f"{name}: {reason}"
        return None

    def on_event(self, event: Event) -> None:
        for name, hook in self._hooks.items():
            try:
                hook.on_event(event=event)
            except Exception as error:
                self._report(f"plugin {name}: on_event raised {describe(error)}")
