"""The steps that outcomes come in, and how far off arithmetic leaves them, after every wave of seeds."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from harness.analysis.paired import ROUNDING, Vector

Matrix = NDArray[np.float64]
Counts = NDArray[np.int64]


def fixed(values: Matrix) -> bool:
    """Whether outcomes [cell, seed] do not vary with the seed: one value in each cell, of three seeds or more in some.

    NaN where there is none.
    """
    several = values[(~np.isnan(values)).sum(axis=1) > 2]
    return bool(len(several)) and bool((np.nanmax(several, axis=1) == np.nanmin(several, axis=1)).all())


def step_of(values: Matrix) -> float:
    """The step that outcomes [cell, seed] come in, as of an accuracy of so many images; 0 where they are fixed.

    It is the largest of which all differences of two outcomes are whole multiples but for rounding, which for a
    continuous outcome is next to nothing. Infinite where all outcomes are one.
    """
    if fixed(values):
        return 0.0
    present = np.unique(values[~np.isnan(values)])
    rounding = ROUNDING * float(np.abs(present).max(initial=0.0))
    step, before = 0.0, np.inf
    for offset in (present[1:] - present[:1]).tolist():
        # The step is known to the rounding of the offset before over how many steps that was.
        rest, least = offset, rounding * max(1.0, offset / before)
        while rest > least:  # Euclid's algorithm
            step, rest = rest, abs(step - round(step / rest) * rest)
        if step:
            step, before = offset / max(1, round(offset / step)), offset
    return step or np.inf


class Grain:
    """The step of outcomes [cell, wave] after each wave, and the rounding of each; all of the waves so far alone.

    So what is made of it is the same wherever a study was killed. `values` are NaN where there is no outcome.
    """

    def __init__(self, values: Matrix) -> None:
        self._values = values
        sizes = np.nanmax(np.abs(values), axis=0, initial=0.0, where=~np.isnan(values))
        self.rounding = ROUNDING * np.maximum.accumulate(sizes)
        """[W], in the outcomes' unit."""
        self.cells = len(values)
        self._steps: dict[int, float] = {}

    def step(self, wave: int) -> float:
        """The step after a wave, counted from 1."""
        if wave not in self._steps:
            self._steps[wave] = step_of(self._values[:, :wave])
        return self._steps[wave]


def t_of_equal(value: float, n: int, step: float, cells: int) -> float:
    """The t of which n differences that all are `value` say as much, by the sign of `value`.

    Their own is infinite, which steps and chance can bring about. As `paired.p_of_equal` has it, each outcome is taken
    to be off by anything up to half a step, which gives a difference the variance step^2 / 6; it says no less than n
    signs alike, and where it is one step no more.

    Where outcomes are fixed (step 0) a difference may be certain, or outcomes that do vary may have come out alike. A
    rule that looks again must know how likely that is: at most q^n (1 - q)^n (q^n + (1 - q)^n)^(cells - 2) on either
    side, where an outcome is with probability q the one that the trick's n runs had and else that of the control's,
    in each of the cells alike; q is the least favourable.
    """
    if n < 2 or value == 0:
        return 0.0
    size = abs(value)
    t = -float(special.stdtrit(n - 1, _chance_of_fixed(n, cells) if step == 0 and n > 2 else 0.5**n))
    if 0 < step <= size / 1.5:
        t = max(t, size / step * math.sqrt(6 * n))
    return math.copysign(t, value)


@lru_cache(maxsize=4096)
def _chance_of_fixed(n: int, cells: int) -> float:
    q = np.linspace(0.001, 0.5, 500)
    logs = n * (np.log(q) + np.log1p(-q)) + max(0, cells - 2) * np.log(q**n + (1 - q) ** n)
    return max(math.exp(float(logs.max())), 1e-300)


def equal_so_far(differences: Vector, rounding: Vector) -> tuple[NDArray[np.bool_], Vector]:
    """[W] whether all known differences so far are one number but for rounding, and that number: 0 where it may be."""
    there = ~np.isnan(differences)
    counts = np.maximum(np.cumsum(there), 1)
    high = np.maximum.accumulate(np.where(there, differences, -np.inf))
    low = np.minimum.accumulate(np.where(there, differences, np.inf))
    means = np.cumsum(np.where(there, differences, 0.0)) / counts
    equal = (high - means <= rounding) & (means - low <= rounding)
    return equal, np.where((high <= rounding) & (low >= -rounding), 0.0, means)
