"""What the person at the keyboard sees while a study runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich import progress as bars
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.recipes.events import Progress, Scored


@dataclass
class _Row:
    name: str
    fraction: float = 0.0
    rate: float = 0.0
    mifid: float | None = None


def duration(seconds: float) -> str:
    """Seconds in words: 45 s, 12 min, 3.4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Display:
    """Plain lines: one per run begun and ended. The live display adds a table that is redrawn in place."""

    def __init__(self, console: Console, *, total: int, done: int) -> None:
        self.console = console
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
        self._rows[slot].mifid = event.scores.get("mifid")

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

    def __init__(self, console: Console, *, total: int, done: int) -> None:
        super().__init__(console, total=total, done=done)
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()

    def _render(self) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for heading in ("run", "", "images/s", "MiFID"):
            table.add_column(heading, style="default", justify="right" if heading in ("images/s", "MiFID") else "left")
        for row in self._rows.values():
            table.add_row(
                row.name,
                ProgressBar(total=1.0, completed=row.fraction, width=24),
                f"{row.rate:,.0f}" if row.rate else "–",
                f"{row.mifid:.1f}" if row.mifid is not None else "–",
            )
        ended = self.done + self.failed
        left = self.total - ended - sum(row.fraction for row in self._rows.values())
        rate = self.seconds_per_run()
        eta = f", about {duration(left * rate)} to go" if rate else ""
        failed = f", {self.failed} failed" if self.failed else ""
        return Group(Text(f"{ended} of {self.total} runs ended{failed}{eta}", style="bold"), table)


def open_display(*, total: int, done: int) -> Display:
    """The live display on a terminal, plain lines elsewhere."""
    console = Console(file=sys.stdout)
    kind = LiveDisplay if console.is_terminal else Display
    return kind(console, total=total, done=done)


class FileBar:
    """A bar over files on standard error, for work that goes through one set of them after the other."""

    def __init__(self, bar: bars.Progress) -> None:
        self._bar = bar
        self._task: bars.TaskID | None = None

    def begin(self, what: str, files: int) -> None:
        """`files` files of `what` are next."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(what, total=files)

    def advance(self, count: int) -> None:
        """`count` more files are done with."""
        if self._task is not None:
            self._bar.advance(self._task, count)


@contextmanager
def file_bar() -> Iterator[FileBar]:
    """A FileBar that is drawn on a terminal, is silent elsewhere, and leaves nothing behind."""
    console = Console(stderr=True)
    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.MofNCompleteColumn())
    with bars.Progress(
        *columns, bars.TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield FileBar(bar)
