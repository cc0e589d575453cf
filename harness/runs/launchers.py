"""The launchers by name, and the plainest of them, good for debugging: one slot in the coordinator's own process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from harness.recipes.events import Event
from harness.runs.description import Launcher, RunDescription
from harness.runs.execute import execute
from harness.runs.processes import ProcessLauncher


class InlineLauncher:
    """Trains one run at a time in this process."""

    slots = 1

    def __init__(self) -> None:
        self._events: queue.Queue[tuple[int, Event]] = queue.Queue()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def submit(self, slot: int, description: RunDescription) -> None:
        def emit(event: Event) -> None:
            self._events.put((slot, event))

        def train() -> None:
            with suppress(KeyboardInterrupt):  # raised by the recipe: the signal goes to the main thread
                execute(description, emit, self._stop.is_set)

        self._stop.clear()
        # A daemon, so that a second Ctrl-C ends the program even where a step hangs.
        self._thread = threading.Thread(target=train, daemon=True)
        self._thread.start()

    def events(self, timeout: float) -> list[tuple[int, Event]]:
        found: list[tuple[int, Event]] = []
        try:
            found.append(self._events.get(timeout=timeout))
            while True:
                found.append(self._events.get_nowait())
        except queue.Empty:
            return found

    def interrupt(self, slot: int | None = None) -> None:
        self._stop.set()

    def close(self) -> None:
        self.interrupt()
        if self._thread is not None:
            self._thread.join(timeout=30)


LAUNCHERS: dict[str, Callable[[int], Launcher]] = {
    "inline": lambda slots: InlineLauncher(),
    "processes": ProcessLauncher,
}
"""By name, made with a number of slots; `--launch` takes its values from here."""
