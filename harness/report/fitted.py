"""A table for a terminal of any width: intervals go below their values before words are broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from harness.report.numbers import Spread

_GAP = 1  # spaces on the right of a column, beside rich's own between columns; none where room is short
_LABEL = 11  # characters of a label that stay on one line
_LEAST = 8  # to which a column of words may be broken


@dataclass(frozen=True)
class FittedTable:
    """Rows of cells, or the names of groups of them, under headings; `right` columns hold numbers.

    A style a row is that of its last cell.
    """

    heads: Sequence[str]
    right: Sequence[bool]
    rows: Sequence[Sequence[Spread] | str]
    styles: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = range(len(self.heads))
        between, gap = " ", _GAP
        room = options.max_width - (1 + gap) * len(columns)
        if sum(self._least(column, between) for column in columns) > room:
            between, gap, room = "\n", 0, options.max_width - len(columns) - 1
        least = [self._least(column, between) for column in columns]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap, 0, 0))
        widths = self._widths(least, between, room)
        for head, right, width in zip(self.heads, self.right, widths, strict=True):
            head = head if len(head) <= width else head.replace(" [", "\n[")
            table.add_column(head, justify="right" if right else "left", overflow="fold", width=width)
        for row, style in zip(self.rows, self.styles, strict=True):
            if isinstance(row, str):
                table.add_row(Text("\n".join(wrap(row, widths[0])), style="italic"))
                continue
            texts = [_written(cell, between) for cell in row]
            table.add_row(*map(Text, texts[:-1]), Text(texts[-1], style=style))
        yield table

    def _lines(self, column: int, between: str) -> list[str]:
        cells = (_written(row[column], between) for row in self.rows if not isinstance(row, str))
        return [line for cell in cells for line in cell.split("\n")]

    def _numeric(self, column: int) -> bool:
        return self.right[column] or any(row[column].interval for row in self.rows if not isinstance(row, str))

    def _least(self, column: int, between: str) -> int:
        """The width at which no number, interval, word or short label of a column is broken."""
        lines = self._lines(column, between)
        kept = lines if self._numeric(column) else [word for line in lines for word in line.split()]
        short = min(_LABEL, max(map(len, lines), default=0))
        return max(short, *map(len, [*self.heads[column].split(" "), *kept]))

    def _widths(self, least: list[int], between: str, room: int) -> list[int]:
        """As wide as the texts are; where that is too wide, narrowed down to `least`, and only then to less."""
        widths = [max(1, *map(len, [head, *self._lines(column, between)])) for column, head in enumerate(self.heads)]
        words = [width if self._numeric(column) else min(width, _LEAST) for column, width in enumerate(least)]
        for floors in (least, words, [_LEAST] * len(widths)):
            while sum(widths) > room and max(slack := np.subtract(widths, floors)) > 0:
                widths[slack.argmax()] -= 1
        return widths


def _written(cell: Spread, between: str) -> str:
    return f"{cell.value}{between}{cell.interval}" if cell.interval else cell.value
