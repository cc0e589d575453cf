"""A table of text that every format can show, and the words that its cells share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from harness.analysis.compare import Compared
from harness.analysis.types import Endings, Verdict
from harness.design import Contrast
from harness.measures import Measure
from harness.report import Report
from harness.report.numbers import NBSP, Spread
from harness.spec import label

MOST_ROWS = 60
CI = f"[95{NBSP}%]"  # what a heading says of an interval
Text = str | Spread


@dataclass(frozen=True)
class Row:
    """A row's cells; its tone (good, bad, "") colours the last; rows of one group stand together under its name."""

    cells: tuple[Text, ...]
    tone: str = ""
    group: str = ""

    @property
    def spreads(self) -> list[Spread]:
        """The cells, those of text alone as numbers without an interval."""
        return [cell if isinstance(cell, Spread) else Spread(cell) for cell in self.cells]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table: headings (a leading > sets a column right), rows, and how to read it."""

    title: str
    heads: tuple[str, ...]
    rows: Sequence[Row]
    reading: str
    folded: bool = False
    """Whether only statisticians read it: it is too wide for a terminal, and folded on the page."""

    @property
    def names(self) -> list[str]:
        """The columns' headings."""
        return [head.removeprefix(">") for head in self.heads]

    @property
    def right(self) -> list[bool]:
        """Which columns are set to the right."""
        return [head.startswith(">") for head in self.heads]

    @property
    def groups(self) -> list[tuple[str, list[Row]]]:
        """The rows by group; one group alone needs no name."""
        found = [(name, list(rows)) for name, rows in groupby(self.rows, key=lambda row: row.group)]
        return found if len(found) > 1 else [("", list(self.rows))]


Column = tuple[str, Sequence[Text]]


def table(
    title: str,
    columns: Sequence[Column],
    reading: str,
    *,
    tones: Sequence[str] = (),
    groups: Sequence[str] = (),
    folded: bool = False,
) -> Sheet:
    """A table of columns, each a heading and its cells; tones and groups are a row's, "" where not given."""
    heads, cells = zip(*columns, strict=True)
    none = [""] * len(cells[0])
    rows = [Row(*row) for row in zip(zip(*cells, strict=True), tones or none, groups or none, strict=True)]
    return Sheet(title=title, heads=heads, rows=rows, reading=reading, folded=folded)


def by_trick(
    report: Report, contrasts: Sequence[Contrast], title: str, columns: Sequence[Column], reading: str, **shown: Any
) -> Sheet:
    """A table with a row a contrast, called by its trick and grouped by its design; `tones` and `folded` as there."""
    tricks = ("trick", [change(each) for each in contrasts])
    return table(title, [tricks, *columns], reading, groups=[design(report, each) for each in contrasts], **shown)


def tone(verdict: Verdict) -> str:
    """How a verdict is coloured."""
    return {Verdict.HELPS: "good", Verdict.HURTS: "bad"}.get(verdict, "")


def change(contrast: Contrast | Compared) -> str:
    """`margin: off → 0.8`."""
    return f"{contrast.factor}: {label(contrast.baseline)} → {label(contrast.level)}"


def design(report: Report, contrast: Contrast) -> str:
    """The design that a contrast belongs to."""
    return contrast.design or report.plan.design


def delta(measure: Measure) -> str:
    """The heading of a measure's changes: `Δ train time, s [95 %]`."""
    return f">Δ {measure.heading} {CI}"


def ended(endings: Endings) -> str:
    """`12`, or where some are missing `9 of 12; 2 diverged, 1 failed`."""
    if endings.complete == endings.planned:
        return str(endings.complete)
    bad = tallied({"diverged": endings.diverged, "failed": endings.failed})
    return f"{endings.complete} of {endings.planned}" + (f"; {bad}" if bad else "")


def tallied(counts: Mapping[Any, int]) -> str:
    """`9 complete, 2 diverged`, of what there is any."""
    return ", ".join(f"{count} {how}" for how, count in counts.items() if count)


def runs_column(several: Sequence[Endings]) -> tuple[list[Column], str]:
    """How many runs ended well: a column where rows differ, else a sentence, where any is missing."""
    counts = [ended(endings) for endings in several]
    if any(endings.complete < endings.planned for endings in several):
        return ([("runs", counts)], "") if len(set(counts)) > 1 else ([], f" Runs: {counts[0]}.")
    return [], ""


def left_out(count: int) -> str:
    """What a long table leaves out."""
    return f" The first {MOST_ROWS} of {count:,} are shown." if count > MOST_ROWS else ""


def joined(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
