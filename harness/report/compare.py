"""The same tricks in several studies, side by side: for the terminal and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Group
from rich.text import Text

from harness.analysis import label
from harness.report.numbers import ABSENT, number
from harness.report.sheet import Sheet
from harness.report.summary import sheet_table
from harness.report.tables import escape_markdown, grid_markdown

READING = (
    "A trick’s effect as a change in per cent of MiFID (the ratio of paired runs, less 100 %), so that studies on "
    "different data compare; below 0 is better. “differ” means that the 95 % interval of the difference of the log "
    "ratios (Welch) excludes 0; “alike” means only that no difference is shown."
)


def render_compare(compared: pd.DataFrame) -> Group:
    """The comparison for a terminal."""
    sheet = comparison(compared)
    if not sheet.rows:
        return Group(Text("The studies have no trick at the same level in common."))
    return Group(sheet_table(sheet), Text(sheet.reading, style="dim"))


def compare_markdown(compared: pd.DataFrame) -> str:
    """The comparison as a Markdown table."""
    sheet = comparison(compared)
    if not sheet.rows:
        return "The studies have no trick at the same level in common.\n"
    return f"{grid_markdown(sheet.names, sheet.right, sheet.rows)}\n{escape_markdown(sheet.reading)}\n"


def studies(compared: pd.DataFrame) -> list[str]:
    """The studies of a comparison: `ratio[first]` is that of first."""
    columns = [str(name) for name in compared.columns]
    return [name[6:-1] for name in columns if name.startswith("ratio[") and name.endswith("]")]


def comparison(compared: pd.DataFrame) -> Sheet:
    """A row per trick: its relative effect in every study, and whether these agree."""
    names = studies(compared)
    several = "design" in compared and compared["design"].nunique() > 1
    rows, tones = [], []
    for row in compared.to_dict("records"):
        values = [_relative(row, name) for name in names]
        trick = f"{row['factor']}: {label(row['level'])}" + (f" ({row['design']})" if several else "")
        rows.append((trick, *values, _agreement(row)))
        tones.append("" if row["same_sign"] and not row["differ"] else "bad")
    return Sheet("The same tricks in several studies", ("trick", *names, "together"), rows, READING, tones)


def _relative(row: Mapping[Any, Any], name: str) -> str:
    """`−23.6 % [−30.1, −16.2] n=5, helps`, a dash where the study has no such trick."""
    ratio, low, high = (row[f"{part}[{name}]"] for part in ("ratio", "low", "high"))
    if ratio is None or not math.isfinite(ratio):
        return ABSENT
    text = f"{_percent(ratio)} %"
    if math.isfinite(low) and math.isfinite(high):
        text += f" [{_percent(low)}, {_percent(high)}]"
    return f"{text} n={row[f'n[{name}]']:.0f}, {row[f'verdict[{name}]']}"


def _percent(ratio: float) -> str:
    return number(100 * (ratio - 1), 1, signed=True)


def _agreement(row: Mapping[Any, Any]) -> str:
    words = "differ" if row["differ"] else "alike"
    return words if row["same_sign"] else f"{words}, signs differ"
