"""Ctrl-C, SIGTERM and SIGHUP while a study runs: counted as they come, acted on between two events.

Raised wherever it lands, a KeyboardInterrupt may leave a database's transaction open, or lose an event that was taken.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SAME = 1.0  # seconds within which another signal is the same ask: batch systems send several, to each process
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
    """SIGINT, SIGTERM (a batch system's time limit) and SIGHUP (a terminal that closed) are counted.

    Those that come within a second of the last that counted are one with it. A third raises KeyboardInterrupt at once.
    """
    found, last = Interrupts(), -math.inf

    def count(number: int, frame: FrameType | None) -> None:
        nonlocal last
        if (now := time.monotonic()) - last < _SAME:
            return
        last = now
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
