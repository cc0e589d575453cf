"""What a number of seeds can show: the smallest effect that a test or a sequence of looks finds with 80 % power."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import optimize

from harness.analysis.paired import ALPHA
from harness.analysis.power import POWER, power
from harness.analysis.sequential import Rule

_PATHS = 20_000
_LARGEST = 1e6  # in standard deviations; two seeds at a small level need hundreds


def smallest(n: int, tests: int = 1) -> float:
    """The smallest effect that `n` seeds show with 80 % power as one of so many tests; inf of fewer than two seeds.

    By the paired t test at the level of Holm's first step, ALPHA / tests, in standard deviations of the differences.
    """
    if n < 2:
        return math.inf
    alpha = ALPHA / max(1, tests)
    return float(optimize.brentq(lambda size: power(size, n, alpha) - POWER, 0.0, _LARGEST, xtol=1e-9, rtol=1e-9))


def smallest_in_looks(rule: Rule, most: int, tests: int = 1) -> float:
    """The smallest effect that some look up to the one after `most` seeds shows with 80 % power.

    At the level of Holm's first step, in standard deviations of the differences; by 20,000 paths of a fixed generator.
    That tricks are dropped as futile costs a little more, and is not counted.
    """
    return _found(tuple(rule.limits(ALPHA / max(1, tests), np.arange(1, most + 1)).tolist()))


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
