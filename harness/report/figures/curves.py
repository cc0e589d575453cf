"""Learning curves prepared: per cell each seed, their mean with its band, and the control's mean, on one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from harness.report import Report
from harness.report.sheets.cells import chosen

Points = Sequence[tuple[float, float]]
T = TypeVar("T")
MOST_CURVES = 12
MOST_POINTS = 100
MOST_SEEDS = 12


class BandPoint(NamedTuple):
    """The mean over seeds at so many images, with its 95 % t interval (NaN for one seed)."""

    images: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """A cell's curves."""

    name: str
    seeds: tuple[Points, ...]
    band: tuple[BandPoint, ...]
    control: tuple[BandPoint, ...]


@dataclass(frozen=True, kw_only=True)
class Panels:
    """A panel a cell on one scale, logarithmic where it spans more than a factor of four; `note` on what is shown."""

    title: str
    note: str
    across: str
    down: str
    panels: tuple[Panel, ...]
    logarithmic: bool
    frame: tuple[tuple[float, float], tuple[float, float]]


def panels(report: Report) -> Panels | None:
    """The learning curves of the control and of the best cells."""
    plan = report.plan
    seeds: dict[str, list[Points]] = {}
    for (cell, _), points in sorted(report.curves.items()):
        if kept := [(images, value) for images, value in points if math.isfinite(value)]:
            seeds.setdefault(cell, []).append(kept)
    names, left_out = chosen(report, seeds, MOST_CURVES)
    values = [value for name in names for points in seeds[name] for _, value in points]
    if not values:
        return None
    bands = {name: tuple(band(seeds[name])) for name in {*names, plan.control} & seeds.keys()}
    low, high = min(values), max(values)
    logarithmic = low > 0 and high > 4 * low
    pad = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    down = (low / 1.1, high * 1.1) if logarithmic else (low - pad, high + pad)
    most = max(images for name in names for points in seeds[name] for images, _ in points)
    made = tuple(
        Panel(
            name,
            tuple(thinned(points) for points in seeds[name][:MOST_SEEDS]),
            bands[name],
            bands.get(plan.control, ()) if name != plan.control else (),
        )
        for name in names
    )
    count = max(len(seeds[name]) for name in names)
    thin = f"the first {MOST_SEEDS} seeds" if count > MOST_SEEDS else "seeds"
    return Panels(
        title="Learning curves",
        note=f"thick: the mean over seeds in its 95 % band; thin: {thin}; dashed: {plan.control}’s mean.{left_out}",
        across=report.plan.unit,
        down=plan.objective.heading,
        panels=made,
        logarithmic=logarithmic,
        frame=((0.0, most * 1.02), down),
    )


def band(seeds: Sequence[Points]) -> list[BandPoint]:
    """Mean and t interval over seeds at the image counts that every seed was scored at.

    Runs of equal time are scored at other counts each: those are interpolated where all curves overlap.
    """
    from harness.analysis.paired import estimate  # loads scipy, which only pages need

    several = [dict(sorted(points)) for points in seeds]
    counts = set.intersection(*(set(points) for points in several))
    if not counts:
        first, last = max(min(points) for points in several), min(max(points) for points in several)
        counts = {images for points in several for images in points if first <= images <= last}
    found = []
    for images in thinned(sorted(counts)):
        values = np.array([float(np.interp(images, list(points), list(points.values()))) for points in several])
        found.append(BandPoint(images, *astuple(estimate(values))))
    return found


def thinned(points: Sequence[T], most: int = MOST_POINTS) -> list[T]:
    """At most so many of the points, evenly spaced, with the first and the last."""
    if len(points) <= most:
        return list(points)
    return [points[round(k * (len(points) - 1) / (most - 1))] for k in range(most)]
