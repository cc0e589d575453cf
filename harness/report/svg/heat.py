"""The interaction heat map: two-factor interactions off the diagonal, main effects on it."""

from __future__ import annotations

import itertools
import math

import pandas as pd

from harness.analysis.paired import ALPHA
from harness.report.numbers import decimals, number
from harness.report.svg import shapes

Entry = tuple[float, bool]  # estimate, shown beyond doubt


def matrix(factorial: pd.DataFrame) -> tuple[list[str], dict[tuple[str, str], Entry]]:
    """The factors in order, and per pair of them (both ways round; a factor with itself: its main effect) the entry."""
    rows = {row["term"]: (float(row["estimate"]), bool(row["p_holm"] < ALPHA)) for row in factorial.to_dict("records")}
    factors = [str(term) for term in factorial.loc[factorial["order"] == 1, "term"]]
    entries = {(name, name): rows[name] for name in factors}
    for one, other in itertools.permutations(factors, 2):
        if (term := f"{one} x {other}") in rows:
            entries[one, other] = entries[other, one] = rows[term]
    return factors, entries


def heat(factorial: pd.DataFrame) -> str:
    """Interactions coloured on a scale from blue (better together) to orange (worse together), values in the fields.

    A frame marks those that hold after correction. Main effects stand on the diagonal, without colour, since they are
    often so much larger that the interactions would pale.
    """
    factors, entries = matrix(factorial)
    between = [value for (one, other), (value, _) in entries.items() if one != other and math.isfinite(value)]
    strongest = max(map(abs, between), default=0.0) or 1.0
    places = min(3, decimals([strongest], 2))
    side = 54 if len(factors) <= 7 else 48
    left = min(116.0, max((shapes.width_of(name, 13, bold=True) for name in factors), default=0) + 14)
    names = [shapes.fitted(name, 100, 13, bold=True) for name in factors]
    longest = max((shapes.width_of(name, 13, bold=True) for name in names), default=0)
    top = 16 + longest * 0.72
    width, height = left + side * len(factors) + max(8, longest * 0.72 - side / 2 + 14), top + side * len(factors) + 52
    width = max(width, 300)
    body = []
    for position, name in enumerate(names):
        middle = top + side * (position + 0.5)
        body.append(shapes.text(left - 8, middle + 4, name, "label", "end"))
        x = left + side * (position + 0.5)
        body.append(
            f'<g transform="translate({x - 2:.1f} {top - 6:.1f}) rotate(-45)">{shapes.text(0, 0, name, "label")}</g>'
        )
    for row, one in enumerate(factors):
        for column, other in enumerate(factors):
            entry = entries.get((one, other))
            body += _field(left + side * column, top + side * row, side, entry, one == other, strongest, places)
    body += _legend(width, height - 30, strongest, places)
    title = "Interactions of every two tricks on MiFID, main effects on the diagonal"
    return shapes.svg(round(width), round(height), "heat wide" if len(factors) > 7 else "heat", title, body)


def _field(
    x: float, y: float, side: float, entry: Entry | None, diagonal: bool, strongest: float, places: int
) -> list[str]:
    frame = f'x="{x + 1.5:.1f}" y="{y + 1.5:.1f}" width="{side - 3:.1f}" height="{side - 3:.1f}" rx="3"'
    value, sure = entry or (math.nan, False)
    centre, base = x + side / 2, y + side / 2 + 4
    words = number(value, places, signed=True)
    size = " tiny" if shapes.width_of(words, 12) > side - 8 else ""
    if diagonal:
        tone = ("good" if value < 0 else "bad") if sure else ""
        return [
            f'<rect {frame} class="main"/>',
            shapes.text(centre, base, words, f"value{' strong' if sure else ''} {tone}{size}", "middle"),
        ]
    if not math.isfinite(value):
        return [f'<rect {frame} class="empty"/>', shapes.text(centre, base, "–", "tick", "middle")]
    fill = f'<rect {frame} class="{"cool" if value < 0 else "warm"}" fill-opacity="{abs(value) / strongest:.3f}"/>'
    outline = f'<rect {frame} class="sure"/>' if sure else ""
    return [fill + outline, shapes.text(centre, base, words, f"value{' strong' if sure else ''}{size}", "middle")]


def _legend(width: float, y: float, strongest: float, places: int) -> list[str]:
    """The colour scale, nine steps with its ends and zero named."""
    steps, wide = 9, 18.0
    start = width / 2 - steps * wide / 2
    body = []
    for step in range(steps):
        share = (step - steps // 2) / (steps // 2)
        kind = "cool" if share < 0 else "warm"
        frame = f'x="{start + wide * step:.1f}" y="{y:.1f}" width="{wide:g}" height="10"'
        body.append(f'<rect {frame} class="{kind}" fill-opacity="{abs(share):.3f}"/>')
    ends = ((start, -strongest), (width / 2, 0.0), (start + steps * wide, strongest))
    body += [shapes.text(x, y + 24, number(value, places, signed=True), "tick", "middle") for x, value in ends]
    body.append(shapes.text(start - 6, y + 9, "better", "tick", "end"))
    body.append(shapes.text(start + steps * wide + 6, y + 9, "worse", "tick"))
    return body
