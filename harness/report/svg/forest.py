"""The forest plot: every effect on MiFID with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd

from harness.report.svg import shapes
from harness.report.tables import cells, tone

_WIDTH, _LEFT, _RIGHT, _TOP, _STEP, _LINE = 400, 10, 10, 30, 46, 15
_SIZE = 12.5  # of a name


def forest(answer: pd.DataFrame) -> str:
    """ΔMiFID per trick with its 95 % interval, the best on top; the label stands above its bar so that it fits a phone.

    A huge interval (two wild seeds) is cut at the frame, with an arrow, so that the others stay readable.
    """
    order = answer["delta_mifid"].sort_values(na_position="last").index
    rows = answer.loc[order].reset_index(drop=True)
    plot = _WIDTH - _LEFT - _RIGHT
    words = cells(rows)
    names, beside = _names(words, plot)
    step = _STEP if beside else _STEP + _LINE
    low, high = shapes.window(rows["delta_mifid_low"], rows["delta_mifid"], rows["delta_mifid_high"])

    def x(value: float) -> float:
        return float(_LEFT + (min(max(value, low), high) - low) / (high - low) * plot)

    bottom = _TOP + step * len(rows)
    body = axis(x, (low, high), bottom, "Δ MiFID, mean and 95 % interval")
    for position, (row, text, name) in enumerate(zip(rows.to_dict("records"), words, names, strict=True)):
        y = _TOP + step * (position + 1) - 12
        body.append(shapes.text(_LEFT, y - (16 if beside else 16 + _LINE), name, "label"))
        place = (_WIDTH - _RIGHT, "end") if beside else (_LEFT, "start")
        body.append(shapes.text(place[0], y - 16, text["delta"], "value", place[1]))
        body += _bar(row, x, y, (low, high), tone(text["verdict"]))
    return shapes.svg(_WIDTH, bottom + 40, "forest", "Change of MiFID per trick with 95 % intervals", body)


def _names(words: list[dict[str, str]], plot: float) -> tuple[list[str], bool]:
    """What the rows are called, in the longest form that all have room for beside their numbers, and whether one has.

    Where none has, the numbers go below the names.
    """
    room = [plot - 8 - shapes.width_of(row["delta"]) for row in words]
    whole = [f"{row['trick']}: {row['change']}" for row in words]
    brief = [f"{row['trick']}: {row['change'].rpartition(' → ')[2]}" for row in words]
    for names in (whole, brief):
        if all(shapes.width_of(name, _SIZE, bold=True) <= most for name, most in zip(names, room, strict=True)):
            return names, True
    for names in (whole, brief):
        if all(shapes.width_of(name, _SIZE, bold=True) <= plot for name in names):
            return names, False
    return [shapes.fitted(name, plot, _SIZE, bold=True) for name in brief], False


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
