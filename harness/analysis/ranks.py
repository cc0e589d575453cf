"""The rule of ranks: Wilcoxon's signed ranks, for noise that is symmetric and anything else, heavy tails included.

W of n differences is the number of pairs, each difference with itself and with every other, whose sum is above 0, less
those below (Tukey): the sum of the ranks of their sizes, with the differences' signs. Under no effect its law, and that
of its whole path over n, is the same for all continuous symmetric noise. Differences of 0 are left out, and do not
count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from harness.analysis.boundaries import RHO
from harness.analysis.grain import Counts, Grain
from harness.analysis.paired import Vector, known
from harness.analysis.types import Estimate

_PATHS = 400_000  # of up to 50 differences; then fewer, as each takes the square of their number
_FEWEST_PATHS = 100_000
_AT_A_TIME = 20_000
_USUAL = 0.15  # levels up to it are worked out from the paths alone that reach a limit at it
_LEAST_LEVEL = 1e-4  # a p below it is said to be that: fewer than a hundred paths are there


def signed_ranks(differences: Vector, rounding: Vector | float = 0.0) -> tuple[NDArray[np.int64], Counts]:
    """W of the first differences, for each number of them, and how many of those are neither NaN nor 0: [W], [W].

    What is within plus and minus `rounding`, by difference if need be, is 0.
    """
    rounding = np.broadcast_to(rounding, differences.shape)
    there = np.abs(differences) > rounding  # of NaN not
    values = np.where(there, differences, 0.0)
    sums = values[:, None] + values
    signs = np.where(np.abs(sums) > rounding[:, None], np.sign(sums), 0.0) * np.outer(there, there)
    return np.cumsum(np.tril(signs).sum(axis=1)).astype(np.int64), np.cumsum(there)


def _size(counts: Counts) -> Vector:
    """The standard deviation of W under no effect."""
    n = np.maximum(counts, 1).astype(float)
    return np.asarray(np.sqrt(n * (n + 1) * (2 * n + 1) / 6))


# A fixed number of differences.


@lru_cache(maxsize=256)
def _tail(n: int) -> Vector:
    """P(W >= w) under no effect, for w = -n (n + 1) / 2 .. n (n + 1) / 2 in steps of 2, exact: [n (n + 1) / 2 + 1]."""
    chances = np.ones(1)
    for rank in range(1, n + 1):
        longer = np.zeros(len(chances) + rank)
        longer[: len(chances)] += chances / 2
        longer[rank:] += chances / 2
        chances = longer
    return np.asarray(np.minimum(np.cumsum(chances[::-1])[::-1], 1.0))


def p_above(differences: Vector, rounding: float = 0.0) -> float:
    """One-sided p of the typical difference being above 0, by Wilcoxon's signed ranks; 1 where all are 0."""
    w, counts = signed_ranks(known(differences), rounding)
    if not len(counts) or counts[-1] == 0:
        return 1.0
    n = int(counts[-1])
    return float(_tail(n)[math.ceil((int(w[-1]) + n * (n + 1) // 2) / 2)])


def p_either(differences: Vector, rounding: float = 0.0) -> float:
    """Two-sided p of the typical difference being 0."""
    return min(1.0, 2 * min(p_above(differences, rounding), p_above(-differences, rounding)))


def critical(n: int, level: float) -> float:
    """What the size of W of n differences must reach, on either side; infinite where its largest is no rarer."""
    beyond = np.flatnonzero(2 * _tail(n) <= level) if n else np.zeros(0)
    return 2.0 * float(beyond[0]) - n * (n + 1) / 2 if len(beyond) else math.inf


def estimate(differences: Vector, level: float) -> Estimate:
    """The median of the means of all pairs, and the interval of what W does not reject (Hodges and Lehmann 1963).

    Unbounded where so few differences can reject nothing at the level.
    """
    return _inverted(differences, critical(len(differences), level))


def _inverted(differences: Vector, limit: float) -> Estimate:
    """The median of the means of all pairs, and the shifts at which the size of W is below `limit`."""
    if not len(differences):
        return Estimate()
    pairs = (differences[:, None] + differences)[np.tril_indices(len(differences))] / 2
    means = np.sort(pairs)
    outside = math.floor((len(means) - limit) / 2) if math.isfinite(limit) else -1  # means below the lower end
    middle = float(np.median(means))
    if outside < 0:
        return Estimate(middle)
    return Estimate(middle, float(means[outside]), float(means[len(means) - 1 - outside]))


# After every wave.


@lru_cache(maxsize=8)
def _paths(most: int) -> NDArray[np.int16]:
    """The size of W of n = 1..most differences of no effect, over simulated paths from a fixed generator: [n, path]."""
    paths = max(_FEWEST_PATHS, min(_PATHS, int(_PATHS * (50 / most) ** 2)))
    random, found = np.random.default_rng(13), []
    while paths > 0:
        x = random.standard_normal((most, min(paths, _AT_A_TIME)), dtype=np.float32)
        steps = np.empty(x.shape, dtype=np.int16)
        for n in range(most):
            steps[n] = 2 * (x[: n + 1] > -x[n]).sum(axis=0, dtype=np.int16) - (n + 1)
        found.append(np.abs(np.cumsum(steps, axis=0, dtype=np.int16)))
        paths -= x.shape[1]
    return np.concatenate(found, axis=1)


def _spend(paths: NDArray[np.int16], total: int, level: float, first: int) -> tuple[Vector, NDArray[np.bool_]]:
    """The limits of W, [most - first + 1], and which of the paths, of `total`, never reach them."""
    most = len(paths)
    found, spent, alive = np.full(most - first + 1, np.inf), 0, np.ones(paths.shape[1], dtype=bool)
    for n in range(first, most + 1):
        allowed = math.floor(level * (n / most) ** RHO * total + 1e-9) - spent
        if allowed < 1:
            continue
        sizes = paths[n - 1][alive]
        beyond = np.append(np.cumsum(np.bincount(sizes, minlength=n * (n + 1) // 2 + 1)[::-1])[::-1], 0)
        limit = int(np.argmax(beyond <= allowed))
        if beyond[limit]:
            found[n - first] = limit
            alive &= paths[n - 1] < limit
            spent += int(beyond[limit])
    return found, alive


@lru_cache(maxsize=8)
def _likely(first: int, most: int) -> NDArray[np.int16]:
    """The paths that reach a limit at the largest usual level, which are those that do at any lower one."""
    paths = _paths(most)
    return paths[:, ~_spend(paths, paths.shape[1], _USUAL, first)[1]]


@lru_cache(maxsize=4096)
def limits(level: float, first: int, most: int) -> Vector:
    """What the size of W of n differences must reach, for n = first..most, so that it ever does in a share `level`.

    Error is spent as for t: level (n / most)^2 by n. Infinite where it does not buy the largest W. Simulated from a
    fixed generator, to some 2 % of a level of 0.05 / 6.
    """
    total = _paths(most).shape[1]
    paths = _likely(first, most) if level <= _USUAL else _paths(most)
    found, _ = _spend(paths, total, min(level, 1.0), first)
    found.setflags(write=False)
    return found


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """At most `most` differences, a look after each from `first` on, by the size of W; error is spent as by `Declared`.

    Why these ranks: of six tricks and at most 20 seeds (level 0.05 / 6) a shift of one standard deviation of normal
    noise is shown with a power of 0.85 after 15.0 seeds on average, of noise of heavy tails (t, 4 degrees of freedom)
    with 0.89 after 14.2; by t with 0.86 after 14.7 and 0.88 after 14.0. The ranks of each difference among those before
    it, whose limits need no simulation, have 0.75 and 0.81, signs alone 0.67 and 0.80. What is lost is that no fewer
    than 10 seeds show anything at that level, and 8 at 0.05: n equal signs have a p of 2 / 2^n.
    """

    first: int
    most: int

    def path(self, differences: Vector, grain: Grain | None = None) -> tuple[Vector, Counts]:
        w, counts = signed_ranks(differences, grain.rounding[: len(differences)] if grain else 0.0)
        return w / _size(counts), counts

    def limits(self, level: float, counts: Counts) -> Vector:
        reached = limits(level, self.first, self.most)
        inside = (counts >= self.first) & (counts <= self.most)
        return np.where(inside, reached[np.clip(counts - self.first, 0, len(reached) - 1)], np.inf) / _size(counts)

    def p(self, statistic: Vector, counts: Counts) -> float:
        sizes = np.abs(statistic)
        low, high = math.log10(_LEAST_LEVEL), 0.0
        if not (sizes >= self.limits(1.0, counts)).any():
            return 1.0
        while high - low > 1e-3:
            middle = (low + high) / 2
            low, high = (low, middle) if (sizes >= self.limits(10.0**middle, counts)).any() else (middle, high)
        return math.pow(10.0, high)

    def interval(self, differences: Vector, level: float, grain: Grain | None = None) -> Estimate:
        """The typical difference, with the shifts that W has not rejected; by inversion (Hodges and Lehmann 1963)."""
        values = known(differences)
        reached = limits(level, self.first, self.most)
        inside = self.first <= len(values) <= self.most
        return _inverted(values, float(reached[len(values) - self.first]) if inside else math.inf)
