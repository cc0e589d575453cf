"""Learning curves: per cell a small plot of MiFID against images shown, the mean with its band over thin seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from harness.analysis.paired import t_interval
from harness.report import Curves
from harness.report.svg import shapes

Points = Sequence[tuple[int, float]]
T = TypeVar("T")
MOST_POINTS = 100
MOST_SEEDS = 12
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 300, 190, 44, 12, 10, 34


class BandPoint(NamedTuple):
    """The mean over seeds at so many images, with its 95 % t interval (NaN for one seed)."""

    images: int
    mean: float
    low: float
    high: float


def band(seeds: Sequence[Points]) -> list[BandPoint]:
    """Mean and t interval over seeds at the image counts that every seed was scored at.

    Runs of equal time are scored at other counts each: those are interpolated where all curves overlap.
    """
    several = [dict(sorted(points)) for points in seeds if points]
    if not several:
        return []
    counts = set.intersection(*(set(points) for points in several))
    if not counts:
        first, last = max(min(points) for points in several), min(max(points) for points in several)
        counts = {images for points in several for images in points if first <= images <= last}
    found = []
    for images in thinned(sorted(counts)):
        values = np.array([float(np.interp(images, list(points), list(points.values()))) for points in several])
        if np.isfinite(values).all():
            low, high = t_interval(values)
            found.append(BandPoint(images, float(values.mean()), low, high))
    return found


def thinned(points: Sequence[T], most: int = MOST_POINTS) -> list[T]:
    """At most so many of the points, evenly spaced, with the first and the last."""
    if len(points) <= most:
        return list(points)
    return [points[round(k * (len(points) - 1) / (most - 1))] for k in range(most)]


def learning_curves(curves: Curves, cells_in_order: Sequence[str], control: str) -> dict[str, str]:
    """Per cell: each seed thin, the mean thick in its 95 % band, the control's mean dashed.

    All share one scale, so that they can be compared; MiFID is logarithmic where it spans more than a factor of four.
    """
    wanted = set(cells_in_order)
    seeds: dict[str, list[Points]] = {name: [] for name in (*cells_in_order, control)}
    for (cell, _), points in sorted(curves.items()):
        if cell in wanted or cell == control:
            seeds[cell].append(points)
    values = np.array([v for name in seeds for points in seeds[name] for _, v in points if math.isfinite(v) and v > 0])
    if not len(values):
        return {}
    most = max(images for name in seeds for points in seeds[name] for images, _ in points)
    axes = _Axes.over(float(values.min()), float(values.max()), most)
    bands = {name: band(seeds[name]) for name in seeds}
    return {
        name: _plot(name, seeds[name], bands[name], bands[control] if name != control else [], axes)
        for name in cells_in_order
        if any(seeds[name])
    }


class _Axes(NamedTuple):
    scale: Callable[[float], float]
    frame: tuple[float, float]
    extent: tuple[float, float]
    most: int

    @classmethod
    def over(cls, low: float, high: float, most: int) -> _Axes:
        scale: Callable[[float], float] = math.log if high > 4 * low else float
        bottom, top = scale(low), scale(high)
        pad = (top - bottom) * 0.06 or 0.05 * abs(top) or 1.0
        return cls(scale, (bottom - pad, top + pad), (low, high), most)

    def x(self, images: float) -> float:
        return _LEFT + images / max(self.most, 1) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Where a value is drawn; a band that leaves the frame is cut at it."""
        within = self.frame[0] if value <= 0 and self.scale is math.log else self.scale(value)
        within = min(max(within, self.frame[0]), self.frame[1])
        return (
            _HEIGHT - _BOTTOM - (within - self.frame[0]) / (self.frame[1] - self.frame[0]) * (_HEIGHT - _TOP - _BOTTOM)
        )

    def path(self, points: Points, kind: str) -> str:
        usable = [(images, value) for images, value in thinned(points) if math.isfinite(value) and value > 0]
        if len(usable) == 1:
            images, value = usable[0]
            return f'<circle cx="{self.x(images):.1f}" cy="{self.y(value):.1f}" r="2.5" class="{kind} point"/>'
        line = "L".join(f"{self.x(images):.1f} {self.y(value):.1f}" for images, value in usable)
        return f'<path d="M{line}" class="{kind}"/>' if line else ""

    def area(self, points: Sequence[BandPoint]) -> str:
        known = [point for point in points if math.isfinite(point.low) and math.isfinite(point.high)]
        if len(known) < 2:
            return ""
        edge = [(p.images, p.low) for p in known] + [(p.images, p.high) for p in reversed(known)]
        line = "L".join(f"{self.x(images):.1f} {self.y(value):.1f}" for images, value in edge)
        return f'<path d="M{line}z" class="band"/>'


def _plot(name: str, seeds: Sequence[Points], own: Sequence[BandPoint], other: Sequence[BandPoint], axes: _Axes) -> str:
    logarithmic = axes.scale is math.log
    marks = shapes.log_ticks(*axes.extent) if logarithmic else shapes.ticks(*axes.frame, about=4)
    across = shapes.ticks(0, axes.most, about=4)
    body = [shapes.line(_LEFT, axes.y(mark), _WIDTH - _RIGHT, axes.y(mark), "grid") for mark in marks]
    body += [shapes.text(_LEFT - 6, axes.y(mark) + 4, f"{mark:g}", "tick", "end") for mark in marks]
    body += [
        shapes.text(
            min(axes.x(mark), _WIDTH - _RIGHT - 8),
            _HEIGHT - _BOTTOM + 16,
            shapes.tick_label(mark, across),
            "tick",
            "middle",
        )
        for mark in across
    ]
    body.append(shapes.text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 3, "images shown", "tick", "middle"))
    body.append(axes.area(own))
    body += [axes.path(points, "seed") for points in seeds[:MOST_SEEDS]]
    body.append(axes.path([(p.images, p.mean) for p in other], "control"))
    body.append(axes.path([(p.images, p.mean) for p in own], "mean"))
    return shapes.svg(_WIDTH, _HEIGHT, "curve", f"MiFID of {name} against images shown, {len(seeds)} seeds", body)
