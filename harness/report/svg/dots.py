"""A dot plot: several estimates of the same effect below one another, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.report.svg import shapes
from harness.report.svg.forest import axis

Estimate = tuple[float, float, float]  # value, low, high
SHAPES = ("circle", "square", "diamond")
_WIDTH, _LEFT, _RIGHT, _TOP, _LANE = 400, 10, 10, 30, 14


@dataclass(frozen=True)
class Row:
    """A trick, its estimates by series, and a remark that stands out, "" for none."""

    name: str
    estimates: Mapping[str, Estimate]
    remark: str = ""


def dots(rows: Sequence[Row], series: Sequence[str], title: str, unit: str) -> str:
    """Per row a lane for every one of at most three series that it has; colour and shape tell the series."""
    several = [estimate for row in rows for estimate in row.estimates.values()]
    values, lows, highs = zip(*several, strict=True) if several else ((), (), ())
    low, high = shapes.window(lows, values, highs)
    plot = _WIDTH - _LEFT - _RIGHT

    def x(value: float) -> float:
        return float(_LEFT + (min(max(value, low), high) - low) / (high - low) * plot)

    lanes = {name: position for position, name in enumerate(series)}
    body: list[str] = []
    y = float(_TOP)
    for row in rows:
        body.append(_heading(row, y + 14, plot))
        y += 18
        for name, lane in lanes.items():
            value, start, end = row.estimates.get(name, (math.nan,) * 3)
            if not math.isfinite(value):
                continue
            y += _LANE
            if math.isfinite(start) and math.isfinite(end):
                body += shapes.interval(x(start), x(end), y - 4, f"bar s{lane}", (start >= low, end <= high))
            body.append(shapes.mark(SHAPES[lane], x(value), y - 4, f"dot s{lane}", 4.2))
        y += 8
    return shapes.svg(_WIDTH, y + 62, "dots", title, [*axis(x, (low, high), y, unit), *body, *_legend(series, y + 54)])


def _heading(row: Row, y: float, room: float) -> str:
    remark = shapes.fitted(row.remark, 0.6 * room, 11, bold=True)
    left = room - (shapes.width_of(remark, 11, bold=True) + 8 if remark else 0)
    name = shapes.text(_LEFT, y, shapes.fitted(row.name, left, 12.5, bold=True), "label")
    return name + (shapes.text(_WIDTH - _RIGHT, y, remark, "remark", "end") if remark else "")


def _legend(series: Sequence[str], y: float) -> list[str]:
    widths = [shapes.width_of(name, 11) + 26 for name in series]
    at = (_WIDTH - sum(widths)) / 2
    body = []
    for lane, (name, width) in enumerate(zip(series, widths, strict=True)):
        body.append(shapes.mark(SHAPES[lane], at + 8, y - 4, f"dot s{lane}", 4.2))
        body.append(shapes.text(at + 18, y, name, "tick"))
        at += width
    return body
