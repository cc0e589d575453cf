"""Ctrl-C and SIGTERM while a study runs: counted as they come, acted on between two events.

Raised wherever it lands, a KeyboardInterrupt may leave a database's transaction open, or lose an event that was taken.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE = 2  # asks, beyond which whoever asks is obeyed at once


@dataclass
class Interrupts:
    """How often one was asked to stop: once to save what runs, twice to give that up."""

    count: int = 0

    def check(self, more_than: int = 0) -> None:
        """Raises KeyboardInterrupt where that was more than so often."""
        if self.count > more_than:
            raise KeyboardInterrupt


@contextmanager
def counted() -> Iterator[Interrupts]:
    """SIGINT and SIGTERM (a batch system's time limit) are counted; a third one raises KeyboardInterrupt at once."""
    found = Interrupts()

    def count(number: int, frame: FrameType | None) -> None:
        found.count += 1
        found.check(more_than=_PATIENCE)

    before = {}
    try:
        for each in _SIGNALS:
            before[each] = signal.signal(each, count)
    except ValueError:  # not the main thread: whoever embeds us handles signals
        yield found
        return
    try:
        yield found
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
