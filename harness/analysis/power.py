"""How many seeds would show an effect: power of the paired t test, and what a few seeds can say of it."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import special

from harness.analysis.paired import ALPHA
from harness.analysis.types import SeedsNeeded

POWER = 0.80
_MOST_SEEDS = 10_000
_STEPS = 16  # of the sizes that a range of seeds is taken over
_FAR = 15.0  # beyond, the normal numerator of a noncentral t is as good as its mean, and scipy loses its way


def seeds_needed(
    size: float, n: int, alpha: float = ALPHA, worth: float = 0.0, alpha_within: float = ALPHA
) -> SeedsNeeded | None:
    """Seeds that decide with 80 % power what `n` seeds left open; None where `size` is not a number.

    An effect is decided that is shown at `alpha`, or shown to be within plus and minus the `worth` by two one-sided
    tests at `alpha_within`, whichever takes fewer. `size` and `worth` are in standard deviations of the differences.
    `low` and `high` are the fewest and the most over the 80 % interval of the size, since a handful of seeds says
    little of it: of 16 seeds that are right, three seeds guess 6 to 148.
    """
    if n < 2 or not math.isfinite(size):
        return None

    def decide(size: float) -> int | None:
        several = fewest_seeds(size, n, alpha), _fewest_within(size, worth, n, alpha_within)
        return min((each for each in several if each is not None), default=None)

    least, most = size_interval(abs(size), n)
    least = max(least, 0.0)
    sizes = [least + (most - least) * step / _STEPS for step in range(_STEPS + 1)]
    within = [decide(each) for each in sizes] if worth > 0 else [decide(least), decide(most)]
    known = [each for each in within if each is not None]
    high = max(known) if len(known) == len(within) else None
    return SeedsNeeded(decide(abs(size)), min(known, default=None), high)


def fewest_seeds(size: float, more_than: int = 1, alpha: float = ALPHA) -> int | None:
    """The fewest seeds, above `more_than`, that show a standardised effect with 80 % power; None above 10,000."""
    if not math.isfinite(size) or size == 0:
        return None
    return _fewest(lambda n: power(size, n, alpha), more_than)


def _fewest_within(size: float, worth: float, more_than: int, alpha: float) -> int | None:
    """The fewest seeds, above `more_than`, that show with 80 % power an effect to be within the worth."""
    if not abs(size) < worth or not math.isfinite(worth):
        return None
    return _fewest(lambda n: power_within(size, worth, n, alpha), more_than)


def _fewest(power_of: Callable[[int], float], more_than: int) -> int | None:
    low, high = 1, 2
    while power_of(high) < POWER:
        if high == _MOST_SEEDS:
            return None
        low, high = high, min(high * 2, _MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= POWER else (middle, high)
    return max(high, more_than + 1)


def power(size: float, n: int, alpha: float = ALPHA) -> float:
    """Power of the two-sided paired t test of `n` seeds against a standardised effect."""
    critical = float(special.stdtrit(n - 1, 1 - alpha / 2))
    shift = abs(size) * math.sqrt(n)
    if shift > 2 * _FAR:
        return float(special.chdtr(n - 1, (n - 1) * (shift / critical) ** 2))
    far = float(special.nctdtr(n - 1, shift, -critical))  # NaN where it is too small for scipy, as in statsmodels
    return 1 - float(special.nctdtr(n - 1, shift, critical)) + (far if far > 0 else 0.0)


def power_within(size: float, worth: float, n: int, alpha: float = ALPHA) -> float:
    """Power of two one-sided paired t tests of `n` seeds to show that an effect is within plus and minus the worth.

    By what either of them misses, added up, which is exact where they never miss both. All in standard deviations.
    """
    critical = float(special.stdtrit(n - 1, 1 - alpha))
    missed = 0.0
    for room in (worth - abs(size), worth + abs(size)):
        shift = room * math.sqrt(n)
        if shift > 2 * _FAR:
            below = 1 - float(special.chdtr(n - 1, (n - 1) * (shift / critical) ** 2))
        else:
            below = float(special.nctdtr(n - 1, shift, critical))
        missed += below if below > 0 else 0.0
    return max(0.0, 1 - missed)


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

    from scipy import optimize  # a quarter of a second to load

    return float(optimize.brentq(excess, -5.0, 2 * t + 5.0))
