"""Plots as inline SVG: the forest of effects and learning curves. Colours come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from harness.report import Curves
from harness.report.numbers import number
from harness.report.tables import cells, tone


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values from `low` to `high`, 1, 2 or 5 times a power of ten apart."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_label(value: float, others: Sequence[float]) -> str:
    """A tick with just the decimals its neighbours need; thousands as k."""
    step = others[1] - others[0] if len(others) > 1 else abs(value) or 1.0
    if step >= 1000:
        return number(value / 1000, max(0, min(3, -math.floor(math.log10(step / 1000) + 1e-9)))) + (
            "k" if value else ""
        )
    return number(value, max(0, -math.floor(math.log10(step) + 1e-9)))


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _svg(width: int, height: int, name: str, title: str, body: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" class="plot {name}" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>{''.join(body)}</svg>"
    )


def forest(answer: pd.DataFrame) -> str:
    """ΔMiFID per trick with its 95 % interval, the best on top; the label stands above its bar so that it fits a phone.

    A huge interval (two wild seeds) is cut at the frame, with an arrow, so that the others stay readable.
    """
    order = answer["delta_mifid"].sort_values(na_position="last").index
    rows = answer.loc[order].reset_index(drop=True)
    texts = cells(rows)
    width, left, right, top, step = 400, 10, 10, 30, 46
    plot = width - left - right
    effects = rows["delta_mifid"].dropna()
    reach = float(effects.abs().max()) if len(effects) else 1.0
    ends = pd.concat([rows["delta_mifid_low"], rows["delta_mifid_high"]]).dropna().abs()
    limit = max(reach * 1.15, min(float(ends.max()) if len(ends) else reach, 3 * reach)) or 1.0
    low = -min(limit, max([0.0, *(-rows["delta_mifid_low"]).dropna(), *(-effects)])) * 1.05 - limit * 0.02
    high = min(limit, max([0.0, *rows["delta_mifid_high"].dropna(), *effects])) * 1.05 + limit * 0.02

    def x(value: float) -> float:
        return float(left + (min(max(value, low), high) - low) / (high - low) * plot)

    height = top + step * len(rows) + 40
    bottom = top + step * len(rows)
    marks = ticks(low, high)
    body = [_line(x(mark), top - 4, x(mark), bottom, "grid") for mark in marks]
    body += [_text(x(mark), bottom + 16, tick_label(mark, marks), "tick", "middle") for mark in marks]
    body.append(_line(x(0), top - 8, x(0), bottom, "zero"))
    body.append(_text(max(x(0) - 6, 60), 13, "← better", "tick", "end"))
    body.append(_text(min(x(0) + 6, width - 60), 13, "worse →", "tick"))
    body.append(_text(left + plot / 2, bottom + 34, "Δ MiFID, mean and 95 % interval", "tick", "middle"))
    for position, (row, text) in enumerate(zip(rows.to_dict("records"), texts, strict=True)):
        y = top + step * position + 34
        name = f"{text['trick']}: {text['change']}"
        body.append(_text(left, y - 16, name, "label"))
        if 7.2 * len(name) + 6.6 * len(text["delta"]) < plot:  # a long name keeps the line; the table has the number
            body.append(_text(width - right, y - 16, text["delta"], "value", "end"))
        body += _bar(row, x, y, (low, high), tone(text["verdict"]))
    return _svg(width, height, "forest", "Change of MiFID per trick with 95 % intervals", body)


def _bar(row: dict[Any, Any], x: Any, y: float, frame: tuple[float, float], kind: str) -> list[str]:
    effect, low, high = row["delta_mifid"], row["delta_mifid_low"], row["delta_mifid_high"]
    if not math.isfinite(effect):
        return [_text(x(0) + 6, y + 4, "no pair of runs", "tick")]
    body = []
    if math.isfinite(low) and math.isfinite(high):
        body.append(_line(x(low), y, x(high), y, f"bar {kind}"))
        for end, beyond, way in ((low, low < frame[0], -1), (high, high > frame[1], 1)):
            at = x(end)
            if beyond:
                body.append(
                    f'<path d="M{at - 6 * way:.1f} {y - 5:.1f}L{at:.1f} {y:.1f}L{at - 6 * way:.1f} {y + 5:.1f}" '
                    f'class="bar {kind}" fill="none"/>'
                )
            else:
                body.append(_line(at, y - 5, at, y + 5, f"bar {kind}"))
    body.append(f'<circle cx="{x(effect):.1f}" cy="{y:.1f}" r="5" class="dot {kind}"/>')
    return body


def learning_curves(curves: Curves, cells_in_order: Sequence[str], control: str) -> dict[str, str]:
    """Per cell a small plot of MiFID against images: each seed thin, the mean thick, the control's mean dashed.

    All share one scale, so that they can be compared; MiFID is logarithmic where it spans more than a factor of four.
    """
    values = np.array([v for points in curves.values() for _, v in points if math.isfinite(v) and v > 0])
    if not len(values):
        return {}
    most = max(image for points in curves.values() for image, _ in points)
    low, high = float(values.min()), float(values.max())
    logarithmic = high > 4 * low
    scale = math.log if logarithmic else float
    bottom, top = scale(low), scale(high)
    pad = (top - bottom) * 0.06 or 0.05 * abs(top) or 1.0
    frame = (bottom - pad, top + pad)
    means = {name: mean_curve([c for (cell, _), c in curves.items() if cell == name]) for name in cells_in_order}
    plots = {}
    for name in cells_in_order:
        seeds = [points for (cell, _), points in sorted(curves.items()) if cell == name]
        if any(seeds):
            reference = means.get(control, []) if name != control else []
            plots[name] = _curve_plot(name, seeds, means[name], reference, most, frame, (low, high), logarithmic)
    return plots


def mean_curve(seeds: Sequence[Sequence[tuple[int, float]]]) -> list[tuple[int, float]]:
    """Mean over seeds at the image counts that every seed reached."""
    several = [dict(points) for points in seeds if points]
    if not several:
        return []
    shared = sorted(set.intersection(*(set(points) for points in several)))
    means = [(image, float(np.mean([points[image] for points in several]))) for image in shared]
    return [(image, value) for image, value in means if math.isfinite(value)]


def _curve_plot(
    name: str,
    seeds: Sequence[Sequence[tuple[int, float]]],
    mean: Sequence[tuple[int, float]],
    control: Sequence[tuple[int, float]],
    most: int,
    frame: tuple[float, float],
    extent: tuple[float, float],
    logarithmic: bool,
) -> str:
    width, height, left, right, top, bottom = 300, 190, 44, 12, 10, 34
    scale = math.log if logarithmic else float

    def x(image: float) -> float:
        return left + image / max(most, 1) * (width - left - right)

    def y(value: float) -> float:
        return height - bottom - (scale(value) - frame[0]) / (frame[1] - frame[0]) * (height - top - bottom)

    def path(points: Sequence[tuple[int, float]], kind: str) -> str:
        usable = [(image, value) for image, value in points if math.isfinite(value) and value > 0]
        if len(usable) == 1:
            image, value = usable[0]
            return f'<circle cx="{x(image):.1f}" cy="{y(value):.1f}" r="2.5" class="{kind} point"/>'
        line = "L".join(f"{x(image):.1f} {y(value):.1f}" for image, value in usable)
        return f'<path d="M{line}" class="{kind}"/>' if line else ""

    marks = _log_ticks(*extent) if logarithmic else ticks(*frame, about=4)
    across = ticks(0, most, about=4)
    body = [_line(left, y(mark), width - right, y(mark), "grid") for mark in marks]
    body += [_text(left - 6, y(mark) + 4, f"{mark:g}", "tick", "end") for mark in marks]
    body += [
        _text(min(x(mark), width - right - 8), height - bottom + 16, tick_label(mark, across), "tick", "middle")
        for mark in across
    ]
    body.append(_text((left + width - right) / 2, height - 3, "images shown", "tick", "middle"))
    body += [path(points, "seed") for points in seeds]
    body += [path(control, "control"), path(mean, "mean")]
    return _svg(width, height, "curve", f"MiFID of {name} against images shown, {len(seeds)} seeds", body)


def _log_ticks(low: float, high: float) -> list[float]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    several = [digit * 10.0**e for e in exponents for digit in (1, 2, 5)]
    inside = [mark for mark in several if low * 0.999 <= mark <= high * 1.001]
    return inside or [low, high]
