"""The worth of an effect as tests: whether a change lies within plus and minus it, or beyond."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from harness.analysis import ranks
from harness.analysis.paired import Vector, mean, p_of_equal, rounded
from harness.spec.worth import Worth


def margins(worth: Worth, control: Vector) -> Vector:
    """The worth seed by seed, above 0 on average, by the control's means [seed]; NaN where it means nothing.

    A share is taken of each seed's own control. The mean of change - margin is then the mean change less that share of
    the control's mean, with the uncertainty of both: the t test of it is Fieller's (1954) of their ratio. A control
    that is above 0 for some seeds and below for others has no share.
    """
    if worth.amount is not None:
        return np.full(len(control), worth.amount)
    assert worth.share is not None
    one_side = len(control) > 0 and (control.min() > 0 or control.max() < 0)
    return worth.share * np.abs(control) if one_side else np.full(len(control), np.nan)


def p_within(changes: Vector, margin: Vector, grain: float | None = math.inf) -> float:
    """p of two one-sided tests (Schuirmann 1987) that the mean change is not within plus and minus the mean margin.

    Where all changes are equal they are held against the mean margin: what varies is then the control alone. By signed
    ranks where `grain` is None.
    """
    if len(changes) > 1 and np.ptp(changes) == 0:
        margin = np.full(len(changes), mean(margin))
    return max(_p_above(margin - changes, margin, grain), _p_above(margin + changes, margin, grain))


def p_beyond(changes: Vector, margin: Vector, grain: float | None = math.inf) -> float:
    """Two-sided p of the mean change not being beyond the mean margin, whichever side it is on; of no margin, t's p.

    By signed ranks where `grain` is None.
    """
    return min(1.0, 2 * min(_p_above(side - margin, margin, grain) for side in (changes, -changes)))


def _p_above(values: Vector, scale: Vector, grain: float | None) -> float:
    """One-sided p of the mean being above 0, by the t test; of equal values that of `p_of_equal`.

    NaN of fewer than two.
    """
    n = len(values)
    if n < 2 or np.isnan(values).any():
        return math.nan
    values = rounded(values, scale)
    if grain is None:
        return ranks.p_above(values)
    if np.ptp(values) == 0:
        return p_of_equal(float(values[0]), n, grain) if values[0] > 0 else 1.0
    return float(special.stdtr(n - 1, -mean(values) / (float(np.std(values, ddof=1)) / math.sqrt(n))))
