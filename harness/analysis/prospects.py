"""What a number of seeds can show: the smallest effect that a test or a sequence of looks finds with 80 % power."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from harness.analysis import ranks
from harness.analysis.paired import ALPHA, Vector
from harness.analysis.power import POWER, power, power_within
from harness.analysis.sequential import Ranks, Rule
from harness.spec.designs import Test

_PATHS = 20_000
_RANKED = 2_000  # paths of up to 50 differences; then fewer, as each takes the square of their number
_LARGEST = 1e6  # in standard deviations; two seeds at a small level need hundreds
_ALL_ABOVE = 10.0  # standard deviations beyond which no difference of normal noise is below 0
_MOST_RANKED = 200  # differences; of more the ranks are as good as their limit for many, 3 / pi of the seeds


def smallest(n: int, tests: int = 1, test: Test = "t") -> float:
    """The smallest effect that `n` seeds show with 80 % power as one of so many tests; inf where none is.

    At the level of Holm's first step, ALPHA / tests, in standard deviations of normal differences.
    """
    if n < 2:
        return math.inf
    alpha = ALPHA / max(1, tests)
    if test == "ranks" and n <= _MOST_RANKED:
        return _found_by_ranks((*[math.inf] * (n - 1), ranks.critical(n, alpha)))
    from scipy import optimize  # a quarter of a second to load

    found = float(optimize.brentq(lambda size: power(size, n, alpha) - POWER, 0.0, _LARGEST, xtol=1e-9, rtol=1e-9))
    return found * math.sqrt(math.pi / 3) if test == "ranks" else found


def within(margin: float, n: int, level: float, test: Test = "t") -> float:
    """The chance that `n` differences of no effect are shown to be within plus and minus `margin`, one of their sd."""
    if n < 2:
        return 0.0
    if test == "t" or n > _MOST_RANKED:
        return power_within(0.0, margin * (1.0 if test == "t" else math.sqrt(3 / math.pi)), n, level)
    limit = ranks.critical(n, 2 * level)
    sides = ((margin - each, margin + each) for each in _normal(n))
    return float(np.mean([min(ranks.signed_ranks(side)[0][-1] for side in both) >= limit for both in sides]))


def smallest_in_looks(rule: Rule, most: int, tests: int = 1) -> float:
    """The smallest effect that some look up to the one after `most` seeds shows with 80 % power.

    At the level of Holm's first step, in standard deviations of normal differences; by 20,000 paths of a fixed
    generator, of ranks by 2,000 at the most. That tricks are dropped as futile costs a little more, and is not counted.
    """
    level = ALPHA / max(1, tests)
    if isinstance(rule, Ranks):
        return _found_by_ranks((*[math.inf] * (rule.first - 1), *ranks.limits(level, rule.first, rule.most).tolist()))
    return _found(tuple(rule.limits(level, np.arange(1, most + 1)).tolist()))


@lru_cache(maxsize=256)
def _found(limits: tuple[float, ...]) -> float:
    """The smallest effect by what |t| must reach after 1, 2, ... seeds.

    Of each path the effect is known that would have been shown: d with sqrt(n) (mean + d) / s at its limit, the least
    over the looks.
    """
    most = len(limits)
    differences = np.random.default_rng(13).standard_normal((_PATHS, most))
    n = np.arange(1, most + 1)
    means = np.cumsum(differences, axis=1) / n
    squares = np.cumsum(differences**2, axis=1) - n * means**2
    deviations = np.sqrt(np.maximum(squares, 0.0) / np.maximum(n - 1, 1))
    looked = np.isfinite(limits) & (n >= 2)
    if not looked.any():
        return math.inf
    needed = np.array(limits)[looked] / np.sqrt(n[looked]) * deviations[:, looked] - means[:, looked]
    return float(np.quantile(needed.min(axis=1), POWER))


@lru_cache(maxsize=256)
def _found_by_ranks(limits: tuple[float, ...]) -> float:
    """The smallest effect by what W must reach after 1, 2, ... seeds, by halves.

    W grows with the effect, so that of each half only the paths that its middle leaves open are looked at again.
    """
    if not np.isfinite(limits).any():
        return math.inf
    left = _normal(len(limits))
    needed, shown = POWER * len(left), 0
    low, high = 0.0, _ALL_ABOVE
    while high - low > 1e-3 and len(left):
        middle = (low + high) / 2
        reached = np.array([(ranks.signed_ranks(each + middle)[0] >= limits).any() for each in left])
        if shown + reached.sum() >= needed:
            high, left = middle, left[reached]
        else:
            low, left, shown = middle, left[~reached], shown + int(reached.sum())
    return (low + high) / 2


def _normal(n: int) -> Vector:
    """[path, n] differences of no effect, from a fixed generator."""
    paths = max(500, min(_RANKED, int(_RANKED * (50 / n) ** 2)))
    return np.random.default_rng(13).standard_normal((paths, n))
