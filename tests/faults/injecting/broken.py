"""The product broken on purpose, in the processes of a test: an injector that finds nothing then is no good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any


def _loses() -> None:
    """Every third score does not come to Optuna, nor to a journal."""
    from harness.recipes.events import Scored
    from harness.study.journal import Journal

    kept, calls = Journal.append, [0]

    def append(self: Journal, key: str, event: Any, at: int) -> bool:
        if isinstance(event, Scored):
            calls[0] += 1
            if calls[0] % 3 == 0:
                return False
        return kept(self, key, event, at)

    Journal.append = append  # type: ignore[method-assign]


def _doubles() -> None:
    """Every point is sent once more, a millisecond later."""
    from harness.study.tracking import Tracker

    sent = Tracker.send

    def send(self: Tracker, run: str, *, points: Any = (), **more: Any) -> None:
        twice = [(name, value, step, at + 1) for name, value, step, at in points]
        sent(self, run, points=[*points, *twice], **more)

    Tracker.send = send  # type: ignore[method-assign]


def _falsifies() -> None:
    """A result is another one by the time that it is told."""
    from harness.study.coordinator import Coordinator

    sound = Coordinator._sound

    def other(self: Coordinator, running: Any, event: Any) -> Any:
        found = sound(self, running, event)
        if hasattr(found, "summary") and running.claim.run.seed == 1:
            return replace(found, summary={**found.summary, "total": found.summary["total"] + 1e-9})
        return found

    Coordinator._sound = other  # type: ignore[method-assign]


BROKEN: dict[str, Callable[[], None]] = {"loses": _loses, "doubles": _doubles, "falsifies": _falsifies}
"""By what it does: called in every coordinator."""
