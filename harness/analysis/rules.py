"""The rules of Student's t: which t of the differences so far shows an effect, with an error that is of all looks."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from harness.analysis import boundaries
from harness.analysis.grain import Counts, Grain, equal_so_far, t_of_equal
from harness.analysis.paired import Vector, known, mean
from harness.analysis.types import Estimate

_STEPS = 8  # of the levels at which limits are worked out for a p, a decade
_LEAST_DECADE = 10  # a p below 1e-10 is said to be that
_ROUNDING = 1e-12  # of the differences, where no more is known of outcomes


class Rule(Protocol):
    """Which statistic of the differences so far shows an effect, so that under none it ever does with a stated error.

    Statistics are standardised: about 0 under no effect, and in proportion to sqrt(n) under one.
    """

    @property
    def first(self) -> int:
        """The differences at the first look."""

    @property
    def most(self) -> int | None:
        """The differences at the last look; None where there is none."""

    def path(self, differences: Vector, grain: Grain | None = None) -> tuple[Vector, Counts]:
        """The statistic of the first differences, for each number of them, and how many of those are known (not NaN).

        Above 0 where the differences are; 0 of fewer than two. Shapes [W], [W].
        """

    def limits(self, level: float, counts: Counts) -> Vector:
        """What the statistic's size must reach of so many differences; infinite where no look is taken."""

    def p(self, statistic: Vector, counts: Counts) -> float:
        """The sequential p of the looks so far: the smallest level at which any of them has reached its limit."""

    def interval(self, differences: Vector, level: float, grain: Grain | None = None) -> Estimate:
        """The difference and an interval that holds at all looks at once with the probability 1 - level.

        Unbounded before the first look, where no limit can be reached yet, and where equal differences leave it open.
        """


def path(differences: Vector, grain: Grain | None = None) -> tuple[Vector, Counts]:
    """t of the first differences, for each number of them, and how many of those are known (not NaN). Shapes [W], [W].

    Where all so far are equal but for the rounding of outcomes it is the t that says as much (`grain.t_of_equal`):
    without a `grain` they count by their sign alone.
    """
    there = ~np.isnan(differences)
    counts = np.cumsum(there)
    values = np.where(there, differences, 0.0)
    rounding = grain.rounding[: len(values)] if grain else _ROUNDING * np.maximum.accumulate(np.abs(values))
    equal, common = equal_so_far(differences, rounding)
    first = known(differences)[0] if there.any() else 0.0
    around = np.where(there, differences - first, 0.0)  # so that squares lose no digits
    n = np.maximum(counts, 1)
    squares = np.cumsum(around**2) - np.cumsum(around) ** 2 / n
    variance = np.where(equal, 1.0, squares) / np.maximum(counts - 1, 1)
    t = np.where(equal, 0.0, np.cumsum(values) / n / np.sqrt(variance / n))
    for place in np.flatnonzero(equal & (common != 0) & (counts > 1)).tolist():
        step, cells = (grain.step(place + 1), grain.cells) if grain else (math.inf, 0)
        t[place] = t_of_equal(float(common[place]), int(counts[place]), step, cells)
    return t, counts


def interval_of_t(rule: Rule, differences: Vector, level: float, grain: Grain | None) -> Estimate:
    """The mean and an interval by the rule's limits of t (Jennison and Turnbull 2000).

    Equal differences have the standard deviation that half a step of their outcomes gives; none without a `grain`.
    """
    values = known(differences)
    n, middle = len(values), mean(values)
    if n < 2:
        return Estimate(middle)
    rounding = grain.rounding[len(differences) - 1] if grain else _ROUNDING * np.abs(values).max()
    if (np.abs(values - middle) > rounding).any():
        deviation = float(np.std(values, ddof=1))
    else:
        deviation = grain.step(len(differences)) / math.sqrt(6) if grain else math.inf
    half = float(rule.limits(level, np.array([n]))[0]) * deviation / math.sqrt(n)
    return Estimate(middle, middle - half, middle + half) if math.isfinite(half) else Estimate(middle)


def p_by_limits(rule: Rule, first: int, statistic: Vector, counts: Counts) -> float:
    """The smallest level at which a statistic has reached its limit.

    Limits are worked out at eighths of a decade and interpolated by cubics between, which is right to a thousandth of
    p: each takes long, and those of one level serve all tricks.
    """
    if (counts < first).all():
        return 1.0
    size = np.arcsinh(np.abs(statistic))

    def limits(step: int) -> Vector:
        return np.arcsinh(rule.limits(10.0 ** (-step / _STEPS), counts))

    def reached(step: int) -> bool:
        return bool((size >= limits(step)).any())

    last = _LEAST_DECADE * _STEPS
    if not reached(0):
        return 1.0
    step = bisect.bisect_left(range(last + 1), True, key=lambda step: not reached(step))
    if step > last:
        return math.pow(10.0, -_LEAST_DECADE)
    around = np.clip(np.arange(step - 2, step + 2), 0, last + 1) if 2 <= step <= last else np.arange(step - 1, step + 1)
    known = np.array([limits(each) for each in around])
    places = [
        _crossing(around, known[:, look], size[look], step)
        for look in np.flatnonzero(size >= limits(step - 1)).tolist()
    ]
    return math.pow(10.0, -max(places) / _STEPS)


def _crossing(steps: Counts, limits: Vector, size: float, above: int) -> float:
    """Where, between `above` - 1 and `above`, limits that grow with the step are as large as `size`."""
    there = np.isfinite(limits)
    if not there[steps == above][0]:
        return above - 1.0  # beyond is no limit at all
    from scipy import interpolate, optimize  # a third of a second to load, which few reports need

    curve = interpolate.BarycentricInterpolator(steps[there].astype(float), limits[there])
    return float(optimize.brentq(lambda step: float(curve(step)) - size, above - 1.0, float(above), xtol=1e-9))


@dataclass(frozen=True, kw_only=True)
class Declared:
    """At most `most` differences, a look after each from `first` on; error is spent as level (n / most)^2.

    To look less often loses power and no more. Group-sequential t test with the spending function of Kim and DeMets
    (1987), p of Liu and Anderson (2008). `most` must be laid down before the first look.
    """

    first: int
    most: int

    def path(self, differences: Vector, grain: Grain | None = None) -> tuple[Vector, Counts]:
        return path(differences, grain)

    def limits(self, level: float, counts: Counts) -> Vector:
        reached = boundaries.limits(level, self.first, self.most)
        inside = (counts >= self.first) & (counts <= self.most)
        return np.where(inside, reached[np.clip(counts - self.first, 0, len(reached) - 1)], np.inf)

    def p(self, statistic: Vector, counts: Counts) -> float:
        return p_by_limits(self, self.first, statistic, counts)

    def interval(self, differences: Vector, level: float, grain: Grain | None = None) -> Estimate:
        return interval_of_t(self, differences, level, grain)


@dataclass(frozen=True, kw_only=True)
class Anytime:
    """A look after every difference from `first` on, for ever: the t test's e-process of Wang and Ramdas (2310.03722).

    `tau` is the size of effect, in sd of the differences, that is looked for. Costs about a third more seeds than a
    maximum that is declared.
    """

    first: int = 3
    tau: float = 2.0
    most = None

    def path(self, differences: Vector, grain: Grain | None = None) -> tuple[Vector, Counts]:
        return path(differences, grain)

    def limits(self, level: float, counts: Counts) -> Vector:
        """Where e_n = 1 / level: sqrt(v (r - 1) / (1 - r / (1 + n tau^2))), r = ((1 + n tau^2) / level^2)^(1 / n)."""
        n = np.maximum(counts, 2).astype(float)
        spread = 1 + n * self.tau**2
        r = (spread / level**2) ** (1 / n)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.sqrt((n - 1) * (r - 1) / (1 - r / spread))
        return np.where((counts >= self.first) & (r < spread), found, np.inf)

    def evidence(self, t: Vector, counts: Counts) -> Vector:
        """The e-values: how many times likelier t is under an effect drawn from N(0, tau^2) than under none."""
        n = np.maximum(counts, 2).astype(float)
        spread, v = 1 + n * self.tau**2, n - 1
        logs = np.log1p(t**2 / v) - np.log1p(t**2 / (v * spread))
        return np.asarray(np.exp(n / 2 * logs - np.log(spread) / 2))

    def p(self, statistic: Vector, counts: Counts) -> float:
        looked = counts >= self.first
        return min(1.0, 1 / float(np.max(self.evidence(statistic[looked], counts[looked]), initial=1.0)))

    def interval(self, differences: Vector, level: float, grain: Grain | None = None) -> Estimate:
        return interval_of_t(self, differences, level, grain)
