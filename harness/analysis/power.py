"""How many seeds would show an effect: power of the paired t test, and what a few seeds can say of it."""

from __future__ import annotations

import math

from scipy import optimize, special

from harness.analysis.paired import ALPHA
from harness.analysis.types import SeedsNeeded

POWER = 0.80
_MOST_SEEDS = 10_000
_FAR = 15.0  # beyond, the normal numerator of a noncentral t is as good as its mean, and scipy loses its way


def seeds_needed(size: float, n: int, alpha: float = ALPHA) -> SeedsNeeded | None:
    """Seeds that show with 80 % power an effect that `n` seeds did not show; None where `size` is not a number.

    `size` is the mean over the standard deviation of the differences. `low` and `high` are for the ends of its 80 %
    interval, since a handful of seeds says little of it: of 16 seeds that are right, three seeds guess 6 to 148.
    """
    if n < 2 or not math.isfinite(size):
        return None
    least, most = size_interval(abs(size), n)
    return SeedsNeeded(*(fewest_seeds(end, n, alpha) for end in (size, most, max(least, 0.0))))


def fewest_seeds(size: float, more_than: int = 1, alpha: float = ALPHA) -> int | None:
    """The fewest seeds, above `more_than`, that show a standardised effect with 80 % power; None above 10,000."""
    if not math.isfinite(size) or size == 0:
        return None
    low, high = 1, 2
    while power(size, high, alpha) < POWER:
        if high == _MOST_SEEDS:
            return None
        low, high = high, min(high * 2, _MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(size, middle, alpha) >= POWER else (middle, high)
    return max(high, more_than + 1)


def power(size: float, n: int, alpha: float = ALPHA) -> float:
    """Power of the two-sided paired t test of `n` seeds against a standardised effect."""
    critical = float(special.stdtrit(n - 1, 1 - alpha / 2))
    shift = abs(size) * math.sqrt(n)
    if shift > 2 * _FAR:
        return float(special.chdtr(n - 1, (n - 1) * (shift / critical) ** 2))
    far = float(special.nctdtr(n - 1, shift, -critical))  # NaN where it is too small for scipy, as in statsmodels
    return 1 - float(special.nctdtr(n - 1, shift, critical)) + (far if far > 0 else 0.0)


def size_interval(size: float, n: int) -> tuple[float, float]:
    """The 80 % interval of a standardised effect that was seen as `size` >= 0, by inversion of the noncentral t."""
    t, tail = size * math.sqrt(n), (1 - 0.80) / 2
    low, high = (_noncentrality(t, n - 1, share) / math.sqrt(n) for share in (1 - tail, tail))
    return low, high


def _noncentrality(t: float, degrees: int, share: float) -> float:
    """Where a noncentral t is below `t` with the probability `share`."""
    if t > _FAR:
        return t * math.sqrt(float(special.chdtri(degrees, share)) / degrees)

    def excess(shift: float) -> float:
        below = float(special.nctdtr(degrees, shift, t))
        return (below if below > 0 else 0.0) - share

    return float(optimize.brentq(excess, -5.0, 2 * t + 5.0))
