"""What tricks cost: every cell's objective against its training seconds, and what an extra second buys."""

from __future__ import annotations

import numpy as np

from harness.analysis import paired
from harness.analysis.outcomes import Outcomes, seed_means, usable
from harness.analysis.types import NAN, Bought, CellPrice


def prices(quality: Outcomes, seconds: Outcomes) -> tuple[CellPrice, ...]:
    """Per cell the objective and the training seconds, from complete runs alone on their device.

    `on_front` cells are beaten by no other in both means. `gain` is NaN where the cell is not shown to cost more (the
    95 % interval of the extra seconds, paired by seed, holds 0, or there is one seed alone), and for the control.
    """
    sign, control = quality.measure.sign, quality.plan.control
    both = ~np.isnan(quality.values + seconds.values)
    means = {
        cell: (paired.estimate(quality.values[row][both[row]]), paired.estimate(seconds.values[row][both[row]]))
        for cell, row in quality.index.items()
        if both[row].any()
    }
    points = np.array([(-sign * score.value, cost.value) for score, cost in means.values()]).reshape(-1, 2)
    extra = seconds.values - seconds.values[seconds.index[control]]
    found = []
    for (cell, (score, cost)), point in zip(means.items(), points, strict=True):
        beaten = ((points <= point).all(axis=1) & (points < point).any(axis=1)).any()
        row = quality.index[cell]
        gain = NAN
        if control in means and paired.t_interval(extra[row][~np.isnan(extra[row])]).low > 0:
            more = cost.value - means[control][1].value
            gain = sign * (score.value - means[control][0].value) / more if more > 0 else NAN
        found.append(
            CellPrice(
                cell=cell,
                n=int(both[row].sum()),
                objective=score,
                seconds=cost,
                on_front=not beaten,
                gain=gain,
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
