"""Shapley shares as steps from nothing on to everything on."""

from __future__ import annotations

import math

import pandas as pd

from harness.analysis import label
from harness.report.numbers import decimals, number
from harness.report.svg import shapes
from harness.report.svg.forest import axis

_WIDTH, _LEFT, _RIGHT, _TOP, _STEP = 400, 10, 64, 30, 40  # the shares stand at the right, clear of the axis


def waterfall(shapley: pd.DataFrame) -> str:
    """One bar per trick, the most helpful first, each starting where the last ended; the last bar is their sum.

    The whisker at a bar's end is the 95 % interval of its own share.
    """
    rows = shapley.sort_values("share").to_dict("records")
    steps = []
    start = 0.0
    for row in rows:
        steps.append((f"{row['factor']}: {label(row['level'])}", start, row["share"], row["low"], row["high"]))
        start += row["share"]
    total = shapley.attrs
    steps.append(("all of them", 0.0, total["total"], total["total_low"], total["total_high"]))
    ends = [begin + share for _, begin, share, _, _ in steps]
    lows, highs = [begin + low for _, begin, _, low, _ in steps], [begin + high for _, begin, _, _, high in steps]
    low, high = shapes.window(lows, ends, highs)
    plot = _WIDTH - _LEFT - _RIGHT

    def x(value: float) -> float:
        return float(_LEFT + (min(max(value, low), high) - low) / (high - low) * plot)

    bottom = _TOP + _STEP * len(steps)
    places = min(3, decimals([share for _, _, share, _, _ in steps], 3))
    body = axis(x, (low, high), bottom, "Δ MiFID against nothing on, with 95 % intervals")
    for position, (name, begin, share, lower, upper) in enumerate(steps):
        y = _TOP + _STEP * position + 26
        last = position == len(steps) - 1
        kind = "whole" if last else "cool" if share < 0 else "warm"
        left, right = sorted((x(begin), x(begin + share)))
        body.append(shapes.text(_LEFT, y - 11, shapes.fitted(name, plot, 12.5, bold=True), "label"))
        body.append(shapes.text(_WIDTH - 8, y + 4, number(share, places, signed=True), "value", "end"))
        width = max(right - left, 1.5)
        body.append(
            f'<rect x="{left:.1f}" y="{y - 6:.1f}" width="{width:.1f}" height="12" rx="2" class="step {kind}"/>'
        )
        if math.isfinite(lower) and math.isfinite(upper):
            within = (begin + lower >= low, begin + upper <= high)
            body += shapes.interval(x(begin + lower), x(begin + upper), y, "whisker", within)
        if not last:
            body.append(shapes.line(x(begin + share), y + 6, x(begin + share), y + _STEP - 6, "joint"))
    title = "Shapley share of every trick in the change from nothing on to everything on"
    return shapes.svg(_WIDTH, bottom + 40, "waterfall", title, body)
