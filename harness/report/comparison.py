"""The same tricks in several studies, side by side: for the terminal and as Markdown."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from harness.analysis.compare import Comparison
from harness.analysis.types import Effect
from harness.report.numbers import ABSENT, NBSP, Spread, in_percent, p_value, spread
from harness.report.sheets.sheet import Sheet, change, table
from harness.report.text import escape_markdown, sheet_markdown, sheet_terminal

_NOTHING = "The studies have no trick at the same level in common."


def render(comparison: Comparison) -> RenderableType:
    """The comparison for a terminal."""
    return sheet_terminal(sheet(comparison)) if comparison.tricks else Text(_NOTHING)


def markdown(comparison: Comparison) -> str:
    """The comparison as a Markdown table."""
    if not comparison.tricks:
        return f"{_NOTHING}\n"
    made = sheet(comparison)
    return f"{sheet_markdown(made)}\n{escape_markdown(made.reading)}\n"


def sheet(comparison: Comparison) -> Sheet:
    """A row a trick: its relative effect in every study, and whether these agree."""
    tricks = comparison.tricks
    better = "below" if comparison.measure.sign < 0 else "above"
    return table(
        "The same tricks in several studies",
        [
            ("trick", [change(trick) + (f" (at {trick.held})" if trick.held else "") for trick in tricks]),
            *((f">{name}", [_relative(trick.effects.get(name)) for trick in tricks]) for name in comparison.studies),
            (">farthest to first", [spread(t.ratio_of_ratios, 2, signed=False, times=True) for t in tricks]),
            (">adjusted p", [p_value(trick.p_adjusted) for trick in tricks]),
            ("together", [("differ" if t.differ else "alike") + ", signs differ" * (not t.same_sign) for t in tricks]),
        ],
        f"A trick’s effect as a change in per cent of {comparison.measure.title} (the ratio of paired runs, "
        f"less 100 %), so that studies on different data compare; {better} 0 is better. “differ” holds after Holm’s "
        "correction over the tricks; “alike” means only that no difference is shown.",
        tones=["bad" if trick.differ or not trick.same_sign else "" for trick in tricks],
        groups=[trick.design for trick in tricks],
    )


def _relative(effect: Effect | None) -> Spread:
    """`−23.6 % [−30.1, −16.2] n=5, helps`, a dash where the study has no such trick."""
    if effect is None or not effect.ratio.known:
        return Spread(ABSENT)
    value, around = spread(in_percent(effect.ratio, less=1), 1)
    return Spread(f"{value}{NBSP}%", f"{around} n={effect.n}, {effect.reading}".strip())
