"""What the person at the keyboard sees while a study runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

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


@dataclass
class Display:
    """Plain lines: one per run ended. On a terminal a table of the running runs stands below, redrawn in place."""

    console: Console
    objective: Measure
    unit: str = "steps"
    total: int = 0
    done: int = 0
    failed: int = 0
    _began: float = field(default_factory=time.monotonic)
    _ended_here: int = 0
    _rows: dict[int, _Row] = field(default_factory=dict)

    def live(self) -> AbstractContextManager[object]:
        """The table, for as long as it is entered; nothing where the console is no terminal."""
        if not self.console.is_terminal:
            return nullcontext()
        return Live(console=self.console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def stands(self, *, total: int, done: int, failed: int) -> None:
        """How many runs there are to be by now, and how many have ended, at a start and at every wave."""
        self.total, self.done, self.failed = total, done, failed

    def note(self, text: str) -> None:
        """One line that stays."""
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def started(self, slot: int, name: str) -> None:
        """A run began in a slot."""
        self._rows[slot] = _Row(name)

    def progressed(self, slot: int, event: Progress) -> None:
        """A run went on."""
        row = self._rows[slot]
        row.fraction, row.rate = event.fraction, event.rate

    def scored(self, slot: int, event: Scored) -> None:
        """A run was scored."""
        self._rows[slot].score = event.scores.get(self.objective.name)

    def finished(self, slot: int, outcome: str, *, failed: bool = False) -> None:
        """A run ended; `outcome` says how in a few words."""
        name = self._rows.pop(slot).name
        self._ended_here += 1
        self.done += not failed
        self.failed += failed
        left = self.total - self.done - self.failed
        eta = f", about {duration(left * self._seconds_per_run())} to go" if left else ""
        self.note(f"[{self.done + self.failed}/{self.total}] {name}: {outcome}{eta}")

    def again(self, slot: int, outcome: str) -> None:
        """A run failed that is tried again at once."""
        self.note(f"{self._rows.pop(slot).name}: {outcome}; it is tried again")

    def _seconds_per_run(self) -> float:
        """Wall-clock seconds per run, from those ended and the running ones' share."""
        share = self._ended_here + sum(row.fraction for row in self._rows.values())
        return (time.monotonic() - self._began) / share if share > 0 else 0.0

    def _render(self) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0))
        table.add_column("run")
        table.add_column("")
        table.add_column(f"{self.unit}/s", justify="right")
        table.add_column(self.objective.heading, justify="right")
        for row in self._rows.values():
            table.add_row(
                Text(row.name),
                ProgressBar(total=1.0, completed=row.fraction, width=24),
                f"{row.rate:,.0f}" if row.rate else "–",
                shown(row.score) if row.score is not None else "–",
            )
        ended = self.done + self.failed
        left = self.total - ended - sum(row.fraction for row in self._rows.values())
        rate = self._seconds_per_run()
        eta = f", about {duration(left * rate)} to go" if rate else ""
        failed = f", {self.failed} failed" if self.failed else ""
        return Group(Text(f"{ended} of {self.total} runs ended{failed}{eta}", style="bold"), table)
