"""A table of text that every format can show, and how its cells are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.analysis import label
from harness.report.numbers import ABSENT, decimals, number, with_interval

MOST_ROWS = 60
_SAID = {"null": "off", "false": "off", "true": "on"}


@dataclass(frozen=True)
class Sheet:
    """A table of text: columns (a leading > sets one right), rows, a remark on how to read it, a tone per row."""

    title: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    reading: str
    tones: Sequence[str] = ()
    wide: bool = False  # too wide for a terminal

    @property
    def names(self) -> list[str]:
        """The columns' headings."""
        return [head.removeprefix(">") for head in self.heads]

    @property
    def right(self) -> list[bool]:
        """Which columns are set to the right."""
        return [head.startswith(">") for head in self.heads]


def plain_interval(value: float, low: float, high: float, places: int) -> str:
    """`84.2 [80.1, 88.3]`, of a level rather than of a change."""
    text = number(value, places)
    if text != ABSENT and low == low and high == high:
        text += f" [{number(low, places)}, {number(high, places)}]"
    return text


def trick(row: dict[Any, Any]) -> str:
    """A trick at its level."""
    return f"{row['factor']}: {label(row['level'])}"


def contrast(name: str) -> str:
    """A contrast's name with a true arrow, and its levels as a reader says them: `margin: off → 0.8`."""
    factor, _, change = name.partition(": ")
    before, _, after = change.partition(" -> ")
    level, bracket, design = after.partition(" (")
    return f"{factor}: {_SAID.get(before, before)} → {_SAID.get(level, level)}{bracket}{design}"


def estimate(row: dict[Any, Any], name: str, places: int) -> str:
    """An estimate with its interval, from the columns called after it."""
    return with_interval(row[name], row[f"{name}_low"], row[f"{name}_high"], places)


def places_for(table: pd.DataFrame, names: Iterable[str], stem: str | None = None) -> int:
    """Decimals for estimates and the ends of their intervals; `stem` "" where these are called low and high."""
    several = []
    for name in names:
        ends = ("low", "high") if stem == "" else (f"{name}_low", f"{name}_high")
        several += [table[name], *(table[end] for end in ends)]
    return places_of(pd.concat(several), 2)


def places_of(values: pd.Series[float], significant: int) -> int:
    """Decimals that show so many digits of the typical of `values`, one at least below 100."""
    sizes = pd.to_numeric(values, errors="coerce").abs()
    return max(decimals(sizes, significant), 1 if sizes.median() < 100 else 0)


def left_out(count: int) -> str:
    """What a long table leaves out."""
    return f" The first {MOST_ROWS} of {count:,} are shown." if count > MOST_ROWS else ""


def joined(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def sentence(text: str) -> str:
    """A note as a sentence."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
