"""The forest plot: every effect on MiFID with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd

from harness.report.svg import shapes
from harness.report.tables import cells, tone

_WIDTH, _LEFT, _RIGHT, _TOP, _STEP = 400, 10, 10, 30, 46


def forest(answer: pd.DataFrame) -> str:
    """ΔMiFID per trick with its 95 % interval, the best on top; the label stands above its bar so that it fits a phone.

    A huge interval (two wild seeds) is cut at the frame, with an arrow, so that the others stay readable.
    """
    order = answer["delta_mifid"].sort_values(na_position="last").index
    rows = answer.loc[order].reset_index(drop=True)
    plot = _WIDTH - _LEFT - _RIGHT
    low, high = shapes.window(rows["delta_mifid_low"], rows["delta_mifid"], rows["delta_mifid_high"])

    def x(value: float) -> float:
        return float(_LEFT + (min(max(value, low), high) - low) / (high - low) * plot)

    bottom = _TOP + _STEP * len(rows)
    body = axis(x, (low, high), bottom, "Δ MiFID, mean and 95 % interval")
    for position, (row, words) in enumerate(zip(rows.to_dict("records"), cells(rows), strict=True)):
        y = _TOP + _STEP * position + 34
        room = plot - shapes.width_of(words["delta"]) - 8
        name = f"{words['trick']}: {words['change']}"
        if shapes.width_of(name, 12.5, bold=True) > room:
            name = f"{words['trick']}: {words['change'].rpartition(' → ')[2]}"
        body.append(shapes.text(_LEFT, y - 16, shapes.fitted(name, plot, 12.5, bold=True), "label"))
        # A name that is still too long keeps the line; the table has the number.
        if shapes.width_of(name, 12.5, bold=True) <= room:
            body.append(shapes.text(_WIDTH - _RIGHT, y - 16, words["delta"], "value", "end"))
        body += _bar(row, x, y, (low, high), tone(words["verdict"]))
    return shapes.svg(_WIDTH, bottom + 40, "forest", "Change of MiFID per trick with 95 % intervals", body)


def axis(x: Callable[[float], float], frame: tuple[float, float], bottom: float, name: str) -> list[str]:
    """Ticks, the line at zero, which way is better, and what the axis is."""
    plot = _WIDTH - _LEFT - _RIGHT
    marks = shapes.ticks(*frame, about=7)
    body = [shapes.line(x(mark), _TOP - 4, x(mark), bottom, "grid") for mark in marks]
    for mark in marks:
        words = shapes.tick_label(mark, marks)
        half = shapes.width_of(words, 11) / 2
        body.append(shapes.text(min(max(x(mark), half), _WIDTH - half), bottom + 16, words, "tick", "middle"))
    body.append(shapes.line(x(0), _TOP - 8, x(0), bottom, "zero"))
    if x(0) > 64:
        body.append(shapes.text(x(0) - 6, 13, "← better", "tick", "end"))
    if x(0) < _WIDTH - 64:
        body.append(shapes.text(x(0) + 6, 13, "worse →", "tick"))
    body.append(shapes.text(_LEFT + plot / 2, bottom + 34, name, "tick", "middle"))
    return body


def _bar(
    row: dict[Any, Any], x: Callable[[float], float], y: float, frame: tuple[float, float], kind: str
) -> list[str]:
    effect, low, high = row["delta_mifid"], row["delta_mifid_low"], row["delta_mifid_high"]
    if not math.isfinite(effect):
        return [shapes.text(x(0) + 6, y + 4, "no pair of runs", "tick")]
    body = []
    if math.isfinite(low) and math.isfinite(high):
        body += shapes.interval(x(low), x(high), y, f"bar {kind}", (low >= frame[0], high <= frame[1]))
    body.append(shapes.mark("circle", x(effect), y, f"dot {kind}"))
    return body
