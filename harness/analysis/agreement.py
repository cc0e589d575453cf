"""Whether the yardsticks of a study agree: every effect under each of them, and how alike they rank the cells."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from scipy import stats

from harness.analysis import paired
from harness.analysis.effects import measured
from harness.analysis.outcomes import Matrix, Outcomes
from harness.analysis.types import NAN, Agreement, Effect, RankAgreement, UnderYardsticks


def agreement(effects: Sequence[Effect], quality: Outcomes, others: Sequence[Outcomes]) -> Agreement | None:
    """Per contrast its effect under each yardstick, the objective's (`effects`) first; None where that is the only one.

    `signs_differ` flags tricks that one yardstick likes and another does not.
    """
    if not others:
        return None
    yardsticks = (quality, *others)
    rows = []
    for several in zip(effects, *map(measured, others), strict=True):
        signs = [np.sign(effect.change.value) for effect in several]
        rows.append(
            UnderYardsticks(
                contrast=several[0].contrast,
                changes={effect.measure.name: effect.change for effect in several},
                signs_differ=any(sign < 0 for sign in signs) and any(sign > 0 for sign in signs),
            )
        )
    ranks = (_ranks(one, other) for one, other in itertools.combinations(yardsticks, 2))
    return Agreement(measures=tuple(each.measure for each in yardsticks), rows=tuple(rows), ranks=tuple(ranks))


def _ranks(one: Outcomes, other: Outcomes) -> RankAgreement:
    left, right = _means(one), _means(other)
    both = ~np.isnan(left) & ~np.isnan(right)
    found = stats.kendalltau(left[both], right[both]) if both.sum() >= 2 else None
    return RankAgreement(
        one=one.measure,
        other=other.measure,
        tau=float(found.statistic) if found else NAN,
        p=float(found.pvalue) if found else NAN,
        cells=int(both.sum()),
        reading=_order(float(found.statistic)) if found and found.pvalue < paired.ALPHA else "",
    )


def _order(tau: float) -> str:
    for least, words in ((0.8, "almost the same order"), (0.5, "much the same order"), (0.0, "loosely the same order")):
        if tau >= least:
            return words
    return "opposite orders"


def _means(outcomes: Outcomes) -> Matrix:
    return np.array([mean.value for mean, _ in paired.means_beside(outcomes.values, outcomes.control)])
