"""A table for a terminal of any width: intervals go below their values before words are broken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_GAP = 1  # spaces on the right of a column, beside rich's own between columns
_LABEL = 11  # characters of a label that stay on one line
_LEAST = 8  # to which a column of words may be broken


@dataclass(frozen=True)
class FittedTable:
    """Rows of texts under headings; `right` columns hold numbers."""

    heads: Sequence[str]
    right: Sequence[bool]
    rows: Sequence[Sequence[Text]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width - 2 * _GAP * len(self.heads)
        rows = self.rows
        least = self._least(rows)
        if sum(least) > room:
            rows = [[_stacked(text) for text in row] for row in rows]
            least = self._least(rows)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, _GAP, 0, 0))
        for head, right, width in zip(self.heads, self.right, self._widths(rows, least, room), strict=True):
            head = head if len(head) <= width else head.replace(" [", "\n[")
            table.add_column(head, justify="right" if right else "left", overflow="fold", width=width)
        for row in rows:
            table.add_row(*row)
        yield table

    def _least(self, rows: Sequence[Sequence[Text]]) -> list[int]:
        """The width of each column at which no number, interval, word or short label is broken."""
        found = []
        for column, head in enumerate(self.heads):
            texts = [row[column].plain for row in rows]
            whole = [line for text in texts for line in text.split("\n")]
            words = [word for text in texts for word in text.split()]
            kept = whole if self.right[column] or any("[" in text for text in texts) else words
            short = min(_LABEL, max(map(len, whole), default=0))
            found.append(max(short, *map(len, [*re.findall(r"\[.*\]|\S+", head), *kept])))
        return found

    def _widths(self, rows: Sequence[Sequence[Text]], least: list[int], room: int) -> list[int]:
        """As wide as the texts are; where that is too wide, narrowed down to `least`, and only then to less."""
        widths = [
            max(len(head), *(len(line) for row in rows for line in row[column].plain.split("\n")), 1)
            for column, head in enumerate(self.heads)
        ]
        for floors in (least, [_LEAST] * len(widths)):
            while sum(widths) > room and any(width > floor for width, floor in zip(widths, floors, strict=True)):
                slack = [width - floor for width, floor in zip(widths, floors, strict=True)]
                widths[slack.index(max(slack))] -= 1
        return widths


def _stacked(text: Text) -> Text:
    value, bracket, rest = text.plain.partition(" [")
    return Text(f"{value}\n[{rest}", style=text.style) if bracket else text
