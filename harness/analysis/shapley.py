"""The whole gain shared out among the tricks: exact Shapley values on a complete two-level factorial.

Shapley 1953; for ablations of training tricks a trick's share is its mean contribution over all orders of adding them.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from harness.analysis import paired
from harness.analysis.outcomes import Matrix
from harness.analysis.space import Space
from harness.analysis.types import Shapley, Share


def shapley(space: Space) -> Shapley | None:
    """Each factor's share of the change from all off to all on; None unless some seed has all 2^k cells complete.

    Shares are exact per seed and averaged over seeds, with t intervals; they add up to the total.
    """
    count = len(space.factors)
    if count < 2 or len(space.cells) < 2**count:
        return None
    table = np.full((2**count, space.values.shape[1]), np.nan)
    for bits, values in zip(space.on @ (1 << np.arange(count)), space.values, strict=True):
        table[int(bits)] = values
    table = table[:, ~np.isnan(table).any(axis=0)]
    if not table.shape[1]:
        return None
    shares = (
        Share(factor=factor, level=space.levels[factor], estimate=paired.estimate(_share(table, position, count)))
        for position, factor in enumerate(space.factors)
    )
    return Shapley(
        shares=tuple(shares),
        total=paired.estimate(table[-1] - table[0]),
        n=table.shape[1],
        endings=space.endings,
    )


def _share(table: Matrix, player: int, count: int) -> Matrix:
    """The Shapley value of one player per column; row b of `table` is the coalition with the bits of b."""
    others = [position for position in range(count) if position != player]
    share = np.zeros(table.shape[1])
    for size in range(count):
        weight = 1 / (count * math.comb(count - 1, size))
        for coalition in itertools.combinations(others, size):
            bits = sum(1 << position for position in coalition)
            share += weight * (table[bits | 1 << player] - table[bits])
    return share
