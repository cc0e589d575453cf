"""The Pareto plot: MiFID against training seconds, a point per cell, the front drawn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

import pandas as pd

from harness.report.labels import Box, Placed, Size, place
from harness.report.sheet import MOST_ROWS
from harness.report.sheets import numbered
from harness.report.svg import shapes

Scale = Callable[[float], float]
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 400, 360, 46, 12, 26, 40
LONGEST = 26  # characters of a cell's name that stand beside its point; a longer one gets its number of the table


CROWD = 12


def span(lows: Iterable[float], values: Iterable[float], highs: Iterable[float]) -> tuple[float, float]:
    """The range of an axis: all values, and intervals as far as they do not dwarf these."""
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    room = (high - low) or abs(high) * 0.1 or 1.0
    low = max(low - 0.6 * room, min([low, *(value for value in lows if math.isfinite(value))]))
    high = min(high + 0.6 * room, max([high, *(value for value in highs if math.isfinite(value))]))
    pad = 0.07 * (high - low) or 0.05 * room
    return low - pad, high + pad


def staircase(pareto: pd.DataFrame) -> list[tuple[float, float]]:
    """The corners (seconds, MiFID) of the front, from the cheapest on: what no cell beats in both."""
    front = pareto[pareto["on_front"]].sort_values(["train_seconds", "mifid"])
    corners: list[tuple[float, float]] = []
    for seconds, mifid in zip(front["train_seconds"], front["mifid"], strict=True):
        if corners:
            corners.append((float(seconds), corners[-1][1]))
        corners.append((float(seconds), float(mifid)))
    return corners


def by_right_to_a_label(pareto: pd.DataFrame, control: str) -> pd.DataFrame:
    """The cells to draw, with their numbers in the table; front and control choose their labels first."""
    rows = numbered(pareto)
    later = ~rows["on_front"] & (rows["cell"] != control)
    return (
        rows.assign(_later=later)
        .sort_values(["_later", "number"], kind="stable")
        .head(MOST_ROWS)
        .reset_index(drop=True)
    )


def name_points(
    points: Sequence[tuple[float, float]],
    rows: pd.DataFrame,
    control: str,
    *,
    frame: Box,
    size: Size,
    radius: float,
    avoid: Sequence[Box],
) -> list[Placed | None]:
    """A label for every point that has room: its cell's name where it is short, else its number in the table.

    In a crowd only the front and the control go by name, or nobody could tell which point a name belongs to; and where
    their names leave a point without a label, they go by number as well.
    """
    known = list(zip(rows["cell"], rows["number"], rows["on_front"], strict=True))

    def attempt(named: Callable[[str, bool], bool]) -> list[Placed | None]:
        texts = [
            [cell, f"#{number}"] if len(cell) <= LONGEST and named(cell, front) else [f"#{number}"]
            for cell, number, front in known
        ]
        return place(points, texts, frame=frame, size=size, radius=radius, avoid=avoid)

    full = attempt(lambda cell, front: front or cell == control or len(rows) <= CROWD)
    short = attempt(lambda cell, front: cell == control) if None in full else full
    return short if short.count(None) < full.count(None) else full


def along(corners: Sequence[tuple[float, float]]) -> list[Box]:
    """The strip that a line of level and upright stretches fills."""
    return [
        Box(min(a[0], b[0]) - 2, min(a[1], b[1]) - 2, max(a[0], b[0]) + 2, max(a[1], b[1]) + 2)
        for a, b in itertools.pairwise(corners)
    ]


def scatter(pareto: pd.DataFrame, control: str) -> str:
    """Cells as points with both intervals; those on the front filled and joined, the control a square."""
    rows = by_right_to_a_label(pareto, control)
    across = span(rows["train_seconds_low"], rows["train_seconds"], rows["train_seconds_high"])
    down = span(rows["mifid_low"], rows["mifid"], rows["mifid_high"])

    def x(value: float) -> float:
        value = min(max(value, across[0]), across[1])
        return _LEFT + (value - across[0]) / (across[1] - across[0]) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        value = min(max(value, down[0]), down[1])
        return _HEIGHT - _BOTTOM - (value - down[0]) / (down[1] - down[0]) * (_HEIGHT - _TOP - _BOTTOM)

    body = _axes(x, y, across, down)
    points, bars = [], []
    corners = [(x(seconds), y(mifid)) for seconds, mifid in staircase(rows)]
    if corners:
        corners = [(corners[0][0], float(_TOP)), *corners, (float(_WIDTH - _RIGHT), corners[-1][1])]
        bars += along(corners)
        body.append(f'<path d="M{"L".join(f"{a:.1f} {b:.1f}" for a, b in corners)}" class="front"/>')
    for row in rows.to_dict("records"):
        at = (x(row["train_seconds"]), y(row["mifid"]))
        points.append(at)
        faint = "whisker faint" if len(rows) > CROWD and not row["on_front"] else "whisker"
        if math.isfinite(row["mifid_low"]) and math.isfinite(row["mifid_high"]):
            body.append(shapes.line(at[0], y(row["mifid_low"]), at[0], y(row["mifid_high"]), faint))
            bars.append(Box(at[0] - 2, y(row["mifid_high"]), at[0] + 2, y(row["mifid_low"])))
        if math.isfinite(row["train_seconds_low"]) and math.isfinite(row["train_seconds_high"]):
            ends = (x(row["train_seconds_low"]), x(row["train_seconds_high"]))
            body.append(shapes.line(ends[0], at[1], ends[1], at[1], faint))
            bars.append(Box(ends[0], at[1] - 2, ends[1], at[1] + 2))
    for row, at in zip(rows.to_dict("records"), points, strict=True):
        shape = "square" if row["cell"] == control else "circle"
        body.append(shapes.mark(shape, *at, "dot front" if row["on_front"] else "dot off", 4.5))
    frame = Box(_LEFT + 2, 2, _WIDTH - 2, _HEIGHT - _BOTTOM - 2)
    labels = name_points(
        points, rows, control, frame=frame, size=lambda words: (shapes.width_of(words, 11), 13), radius=5.5, avoid=bars
    )
    for label in labels:
        if label is not None:
            middle = (label.box.left + label.box.right) / 2
            body.append(shapes.text(middle, label.box.bottom - 3, label.text, "name", "middle"))
    return shapes.svg(_WIDTH, _HEIGHT, "scatter", "MiFID against training seconds, one point per cell", body)


def _axes(x: Scale, y: Scale, across: tuple[float, float], down: tuple[float, float]) -> list[str]:
    marks, rows = shapes.ticks(*across, about=5), shapes.ticks(*down, about=5)
    body = [shapes.line(_LEFT, y(mark), _WIDTH - _RIGHT, y(mark), "grid") for mark in rows]
    body += [shapes.text(_LEFT - 6, y(mark) + 4, shapes.tick_label(mark, rows), "tick", "end") for mark in rows]
    for mark in marks:
        words = shapes.tick_label(mark, marks)
        at = min(x(mark), _WIDTH - shapes.width_of(words, 11) / 2)
        body.append(shapes.text(at, _HEIGHT - _BOTTOM + 16, words, "tick", "middle"))
    body.append(shapes.text(6, 13, "MiFID (lower is better)", "tick"))
    body.append(shapes.text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 5, "training seconds a run", "tick", "middle"))
    return body
