"""The whole gain shared out among the tricks: exact Shapley values on a complete two-level factorial.

Shapley 1953; for ablations of training tricks a trick's share is its mean contribution over all orders of adding them.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from harness.analysis import paired
from harness.analysis.space import Space

if TYPE_CHECKING:
    from harness.design import Plan


def shapley(runs: pd.DataFrame, plan: Plan, metric: str) -> pd.DataFrame | None:
    """Each factor's share of the change from all off to all on; None unless some seed has all 2^k cells complete.

    Shares are exact per seed and averaged over seeds, with 95 % t intervals; they add up to `attrs["total"]`, which has
    its own interval in `attrs["total_low"]` and `attrs["total_high"]`.
    """
    space = Space.of(runs, plan, metric)
    count = len(space.factors)
    if count < 2 or len(space.cells) < 2**count:
        return None
    table = np.full((2**count, space.values.shape[1]), np.nan)
    for bits, values in zip(space.on @ (1 << np.arange(count)), space.values, strict=True):
        table[int(bits)] = values
    table = table[:, ~np.isnan(table).any(axis=0)]
    if not table.shape[1]:
        return None
    shares = np.stack([_share(table, position, count) for position in range(count)])
    total = table[-1] - table[0]
    intervals = [paired.t_interval(share) for share in shares]
    frame = pd.DataFrame(
        {
            "factor": space.factors,
            "level": pd.Series([space.levels[factor] for factor in space.factors], dtype=object),
            "share": shares.mean(axis=1),
            "low": [interval.low for interval in intervals],
            "high": [interval.high for interval in intervals],
            "n": table.shape[1],
        }
    )
    whole = paired.t_interval(total)
    frame.attrs |= {"total": float(total.mean()), "total_low": whole.low, "total_high": whole.high}
    return frame


def _share(table: np.ndarray[tuple[int, int], np.dtype[np.float64]], player: int, count: int) -> paired.Vector:
    """The Shapley value of one player per column; row b of `table` is the coalition with the bits of b."""
    others = [position for position in range(count) if position != player]
    share = np.zeros(table.shape[1])
    for size in range(count):
        weight = 1 / (count * math.comb(count - 1, size))
        for coalition in itertools.combinations(others, size):
            bits = sum(1 << position for position in coalition)
            share += weight * (table[bits | 1 << player] - table[bits])
    return share
