"""What tricks cost: every cell's objective against its training seconds, and what an extra second buys."""

from __future__ import annotations

import numpy as np

from harness.analysis import paired
from harness.analysis.outcomes import Outcomes, seed_means, usable
from harness.analysis.types import NAN, Bought, CellPrice


def prices(quality: Outcomes, seconds: Outcomes) -> tuple[CellPrice, ...]:
    """Per cell the objective and the training seconds, from complete runs alone on their device.

    Both are held against the control over the `n` seeds that both have; in a search, where cells are tried with seeds
    of their own, they are plain means. `on_front` cells are beaten by no other in both. `gain` is NaN where the cell is
    not shown to cost more (the 95 % interval of the extra seconds holds 0, or there is one seed alone), and for the
    control.
    """
    sign, control = quality.measure.sign, quality.index[quality.plan.control]
    scores = np.where(np.isnan(seconds.values), np.nan, quality.values)
    costs = np.where(np.isnan(quality.values), np.nan, seconds.values)
    both = [paired.means_beside(values, quality.control) for values in (scores, costs)]
    points = np.array([(-sign * score.value, cost.value) for (score, _), (cost, _) in zip(*both, strict=True)])
    found = []
    for (cell, row), (score, n), (cost, _) in zip(quality.index.items(), *both, strict=True):
        if not score.known:
            continue
        gained, extra = sign * (scores[row] - scores[control]), costs[row] - costs[control]
        common = ~np.isnan(extra)
        dearer = paired.t_interval(extra[common]).low > 0
        found.append(
            CellPrice(
                cell=cell,
                n=n,
                objective=score,
                seconds=cost,
                on_front=not ((points <= points[row]).all(axis=1) & (points < points[row]).any(axis=1)).any(),
                gain=float(np.mean(gained[common]) / np.mean(extra[common])) if dearer else NAN,
                endings=quality.endings([cell]),
            )
        )
    return tuple(found)


def bought(quality: Outcomes, seconds: Outcomes) -> tuple[Bought, ...]:
    """Per contrast the mean improvement over the mean extra training seconds, with Fieller's interval.

    From seeds whose runs are complete and were alone on their device.
    """
    found = []
    for contrast in quality.plan.contrasts:
        (better, worse), (longer, shorter) = quality.sides(contrast), seconds.sides(contrast)
        gained, extra = quality.measure.sign * (better - worse), longer - shorter
        known = usable(contrast, gained, extra)
        gains = seed_means(gained, known)
        found.append(
            Bought(
                contrast=contrast,
                n=len(gains),
                gain=paired.ratio_of_means(gains, seed_means(extra, known)),
                endings=quality.endings(cell for pair in contrast.pairs for cell in pair),
            )
        )
    return tuple(found)
