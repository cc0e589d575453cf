"""Whether the yardsticks of a study agree: every effect under each of them, and how alike they rank the cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from harness.analysis import paired
from harness.analysis.effects import measured
from harness.analysis.outcomes import Outcomes
from harness.analysis.types import NAN, Agreement, Effect, RankAgreement, UnderYardsticks

_ORDERS = (
    (0.8, "almost the same order"),
    (0.5, "much the same order"),
    (0.0, "loosely the same order"),
    (-math.inf, "opposite orders"),
)  # from the least tau


def agreement(effects: Sequence[Effect], quality: Outcomes, others: Sequence[Outcomes]) -> Agreement | None:
    """Per contrast its effect under each yardstick, the objective's (`effects`) first; None where that is the only one.

    `signs_differ` flags tricks that one yardstick likes and another does not.
    """
    if not others:
        return None
    yardsticks = (quality, *others)
    rows = []
    for several in zip(effects, *map(measured, others), strict=True):
        rows.append(
            UnderYardsticks(
                contrast=several[0].contrast,
                changes={effect.measure.name: effect.change for effect in several},
                signs_differ={-1, 1} <= {effect.measure.sign * np.sign(effect.change.value) for effect in several},
            )
        )
    ranks = (_ranks(one, other) for one, other in itertools.combinations(yardsticks, 2))
    return Agreement(measures=tuple(each.measure for each in yardsticks), rows=tuple(rows), ranks=tuple(ranks))


def _ranks(one: Outcomes, other: Outcomes) -> RankAgreement:
    left, right = (
        np.array([each.measure.sign * mean.value for mean, _ in paired.means_beside(each.values, each.control)])
        for each in (one, other)
    )
    both = ~np.isnan(left + right)
    tau, p = map(float, stats.kendalltau(left[both], right[both])) if both.sum() >= 2 else (NAN, NAN)
    return RankAgreement(
        one=one.measure,
        other=other.measure,
        tau=tau,
        p=p,
        cells=int(both.sum()),
        reading=next(words for least, words in _ORDERS if tau >= least) if p < paired.ALPHA else "",
    )
