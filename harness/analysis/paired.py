"""Statistics of one paired sample: intervals, exact sign-flip p, and Holm's correction over a family."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from harness.analysis.types import Estimate

Vector = NDArray[np.float64]

ALPHA = 0.05
ROUNDING = 1e-6
"""Of the numbers' size: what float32 arithmetic leaves behind, in which many a recipe averages."""
_EXACT_UP_TO = 32  # signs; beyond, 2^n is sampled
_RESAMPLES, _FLIPS = 4000, 20_000
_AT_ONCE = 2_000_000  # numbers that are drawn at a time


def rounded(differences: Vector, scale: Vector | float) -> Vector:
    """The differences of numbers each as large as `scale`: one number, or 0, where they are that but for rounding."""
    middle, least = mean(differences), ROUNDING * np.broadcast_to(scale, differences.shape)
    if len(differences) < 2 or (np.abs(differences - middle) > least).any():
        return differences
    return np.full(len(differences), 0.0 if (np.abs(differences) <= least).all() else middle)


def known(values: Vector) -> Vector:
    """Those values that are not NaN."""
    return np.asarray(values[~np.isnan(values)])


def mean(values: Vector) -> float:
    """The mean; NaN of nothing."""
    return float(np.mean(values)) if len(values) else math.nan


def estimate(differences: Vector) -> Estimate:
    """The mean with Student's 95 % interval: none for fewer than two differences, a point where all are equal."""
    n, middle = len(differences), mean(differences)
    if n < 2:
        return Estimate(middle)
    half = float(special.stdtrit(n - 1, 1 - ALPHA / 2)) * float(np.std(differences, ddof=1)) / math.sqrt(n)
    return Estimate(middle, middle - half, middle + half)


def means_beside(values: NDArray[np.float64], control: int | None) -> list[tuple[Estimate, int]]:
    """Per row of [cell, seed] its mean and its seeds: the control's own, of others that plus the mean change from it.

    The change is paired, over the seeds that a row shares with the control, so that a cell which lacks the hard seeds
    is no better for it, and the interval is that of the change. Plain means where `control` is None or has no value.
    """
    if control is None or np.isnan(values[control]).all():
        return [(estimate(row), len(row)) for row in map(known, values)]
    own = known(values[control])
    found = []
    for change in map(known, values - values[control]):
        each, middle = estimate(change), mean(own)
        found.append((Estimate(middle + each.value, middle + each.low, middle + each.high), len(change)))
    found[control] = estimate(own), len(own)
    return found


def ratio_of_means(gained: Vector, extra: Vector) -> Estimate:
    """Mean gain per unit of the mean extra cost, paired, and its 95 % interval (Fieller 1954).

    The interval holds every r at which the t test of gained - r * extra is not significant. Unknown where the extra
    cost is not shown to be above 0: the ratio is then anything.
    """
    n = len(extra)
    if not estimate(extra).low > 0:
        return Estimate()
    # One run's blow-up must not overflow where it is squared.
    size = max(1.0, float(np.max(np.abs(gained))) / 1e100)
    gained = gained / size
    gain, cost = float(np.mean(gained)), float(np.mean(extra))
    ratio = gain / cost * size
    half = np.cov(gained, extra) * (float(special.stdtrit(n - 1, 1 - ALPHA / 2)) ** 2 / n)
    # The ends are the roots of a r^2 - 2 b r + c, the t test's statistic less its critical value, both squared.
    a, b, c = cost**2 - half[1, 1], gain * cost - half[0, 1], gain**2 - half[0, 0]
    root = math.sqrt(max(0.0, b**2 - a * c))
    return Estimate(ratio, float((b - root) / a) * size, float((b + root) / a) * size)


def bootstrap(differences: Vector) -> Estimate:
    """The mean with its bias-corrected and accelerated bootstrap 95 % interval (Efron 1987), from a fixed generator.

    Falls back to percentiles where the acceleration is undefined. It is too narrow for a handful of seeds: the t
    interval carries the verdict. scipy.stats.bootstrap gives the same to the last bit; to load it takes longer than all
    else of a report.
    """
    middle = mean(differences)
    if len(differences) < 2:
        return Estimate(middle)
    if np.ptp(differences) == 0:
        return Estimate(middle, float(differences[0]), float(differences[0]))
    n = len(differences)
    random = np.random.default_rng(0)
    drawn = np.concatenate(
        [differences[random.integers(0, n, (rows, n))].mean(axis=-1) for rows in _in_parts(_RESAMPLES, n)]
    )
    tail = (1 - (1 - ALPHA)) / 2
    with np.errstate(all="ignore"):
        for shares in (_bias_corrected(differences, drawn, tail), np.array([tail, 1 - tail])):
            found = Estimate(middle, *map(float, _quantiles(np.sort(drawn), shares)))
            if found.bounded:
                return found
    return Estimate(middle)


def _bias_corrected(differences: Vector, drawn: Vector, tail: float) -> Vector:
    """The two shares of the resampled means at which the BCa interval ends (Efron 1987, equation 2.3)."""
    n, middle = len(differences), np.mean(differences)
    below = np.count_nonzero(drawn < middle) + np.count_nonzero(drawn <= middle)
    bias = special.ndtri(below / (2 * len(drawn)))
    without = differences[np.nonzero(~np.eye(n, dtype=bool))[1].reshape(n, n - 1)].mean(axis=-1)  # the jackknife's
    influence = (n - 1) * (without.mean() - without)
    acceleration = 1 / 6 * (np.sum(influence**3) / float(n) ** 3) / (np.sum(influence**2) / float(n) ** 2) ** (3 / 2)
    ends = bias + float(special.ndtri(tail)) * np.array([1.0, -1.0])
    return np.asarray(special.ndtr(bias + ends / (1 - acceleration * ends)))


def _quantiles(ordered: Vector, shares: Vector) -> Vector:
    """Linear interpolation between order statistics (Hyndman and Fan's type 7); NaN at a share that is none."""
    if np.isnan(shares).any():
        return np.full(len(shares), math.nan)
    place = shares * len(ordered) + (1 - shares)
    whole = place // 1
    low, high = (np.clip(each, 0, len(ordered) - 1).astype(int) for each in (whole - 1, whole))
    part = np.where(whole < 1, 0.0, place % 1)
    return np.asarray((1 - part) * ordered[low] + part * ordered[high])


def sign_flip_p(differences: Vector) -> float:
    """Two-sided p of the mean under every assignment of signs: exact up to 32 differences, sampled beyond.

    The smallest value n seeds can give is 2 / 2^n: 0.25 for three, 0.03 for six.
    """
    n = len(differences)
    if n == 0:
        return math.nan
    size = float(np.sum(np.abs(differences)))
    observed = abs(float(np.sum(differences))) - 1e-12 * size  # ties count, whatever the order of summation
    if observed <= 0:
        return 1.0
    if n > _EXACT_UP_TO:
        random, both = np.random.default_rng(0), (-1.0, 1.0)
        beyond = sum(
            int(np.sum(np.abs(random.choice(both, size=(rows, n)) @ differences) >= observed))
            for rows in _in_parts(_FLIPS, n)
        )
        return (1 + beyond) / (1 + _FLIPS)
    # Meet in the middle: all signed sums of either half, then count the pairs in both tails by bisection.
    first, second = _signed_sums(differences[: n // 2]), np.sort(_signed_sums(differences[n // 2 :]))
    upper = len(second) - np.searchsorted(second, observed - first, side="left")
    lower = np.searchsorted(second, -observed - first, side="right")
    return float((int(upper.sum()) + int(lower.sum())) / 2**n)


def _in_parts(rows: int, columns: int) -> list[int]:
    """So many rows a part that thousands of columns take no more memory than a hundred."""
    most = max(1, _AT_ONCE // columns)
    return [min(most, rows - done) for done in range(0, rows, most)]


def _signed_sums(values: Vector) -> Vector:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate((sums - value, sums + value))
    return sums


def p_of_equal(value: float, n: int, grain: float) -> float:
    """One-sided p of n differences that all are `value`, above 0, of outcomes that come in steps of `grain`.

    Their t statistic is infinite, which rounding alone can bring about. So each outcome is taken to be off by anything
    up to half a step, which gives a difference the variance grain^2 / 6. A difference of one step counts by its sign
    alone; where outcomes do not vary with the seed the grain is 0, and a difference on three seeds is certain.
    """
    if grain == 0 and n > 2:
        return 0.0
    if grain == 0 or value < 1.5 * grain:
        return 0.5**n
    return min(0.5**n, float(special.stdtr(n - 1, -value / grain * math.sqrt(6 * n))))


def t_p(differences: Vector, grain: float = math.inf) -> float:
    """Two-sided p of the paired t test; where all differences are equal that of `p_of_equal`, 1 of zeros."""
    n = len(differences)
    if n < 2:
        return math.nan
    if np.ptp(differences) == 0:
        return min(1.0, 2 * p_of_equal(abs(differences[0]), n, grain)) if differences[0] else 1.0
    statistic = mean(differences) / (float(np.std(differences, ddof=1)) / math.sqrt(n))
    return float(2 * special.stdtr(n - 1, -abs(statistic)))


def holm(p: Vector) -> Vector:
    """Holm's step-down adjusted p over the whole family; a contrast without a p counts in the family and stays NaN.

    Counting those too keeps the correction from growing as the missing runs of a study come in.
    """
    adjusted, order = np.empty(len(p)), np.argsort(p, kind="stable")  # those without a p last
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, np.arange(len(p), 0, -1) * p[order]))
    return adjusted
