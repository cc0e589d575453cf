"""What the person at the keyboard sees while a study runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.measures import Measure
from harness.recipes.events import Progress, Scored


@dataclass
class _Row:
    name: str
    fraction: float = 0.0
    rate: float = 0.0
    score: float | None = None


def duration(seconds: float) -> str:
    """Seconds in words: 45 s, 12 min, 3.4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def shown(value: float, unit: str = "") -> str:
    """A score with one decimal, or four significant digits where it is small: 301.2, 0.9312."""
    text = f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"
    return f"{text} {unit}".rstrip()


class Display:
    """Plain lines: one per run begun and ended. The live display adds a table that is redrawn in place."""

    def __init__(self, console: Console, objective: Measure, *, total: int, done: int) -> None:
        self.console = console
        self.objective = objective
        self.total = total
        self.done = done
        self.failed = 0
        self._began = time.monotonic()
        self._ended_here = 0
        self._rows: dict[int, _Row] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        return None

    def note(self, text: str) -> None:
        """One line that stays."""
        self.console.print(text, highlight=False, soft_wrap=True)

    def started(self, slot: int, name: str) -> None:
        """A run began in a slot."""
        self._rows[slot] = _Row(name)

    def progressed(self, slot: int, event: Progress) -> None:
        """A run went on."""
        row = self._rows[slot]
        row.fraction, row.rate = event.fraction, event.images_per_second

    def scored(self, slot: int, event: Scored) -> None:
        """A run was scored."""
        self._rows[slot].score = event.scores.get(self.objective.name)

    def finished(self, slot: int, outcome: str, *, failed: bool = False) -> None:
        """A run ended; `outcome` says how in a few words."""
        row = self._rows.pop(slot)
        self._ended_here += 1
        self.done += not failed
        self.failed += failed
        self.note(f"[{self.done + self.failed}/{self.total}] {row.name}: {outcome}{self._remaining()}")

    def _remaining(self) -> str:
        left = self.total - self.done - self.failed
        return f", about {duration(left * self.seconds_per_run())} to go" if left else ""

    def seconds_per_run(self) -> float:
        """Wall-clock seconds per run, from those ended and the running ones' share."""
        share = self._ended_here + sum(row.fraction for row in self._rows.values())
        return (time.monotonic() - self._began) / share if share > 0 else 0.0


class LiveDisplay(Display):
    """A table of the running runs, redrawn in place below the lines that stay."""

    def __init__(self, console: Console, objective: Measure, *, total: int, done: int) -> None:
        super().__init__(console, objective, total=total, done=done)
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()

    def _render(self) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0))
        table.add_column("run")
        table.add_column("")
        table.add_column("images/s", justify="right")
        table.add_column(self.objective.heading, justify="right")
        for row in self._rows.values():
            table.add_row(
                row.name,
                ProgressBar(total=1.0, completed=row.fraction, width=24),
                f"{row.rate:,.0f}" if row.rate else "–",
                shown(row.score) if row.score is not None else "–",
            )
        ended = self.done + self.failed
        left = self.total - ended - sum(row.fraction for row in self._rows.values())
        rate = self.seconds_per_run()
        eta = f", about {duration(left * rate)} to go" if rate else ""
        failed = f", {self.failed} failed" if self.failed else ""
        return Group(Text(f"{ended} of {self.total} runs ended{failed}{eta}", style="bold"), table)


def open_display(objective: Measure, *, total: int, done: int) -> Display:
    """The live display on a terminal, plain lines elsewhere."""
    console = Console(file=sys.stdout)
    kind = LiveDisplay if console.is_terminal else Display
    return kind(console, objective, total=total, done=done)
