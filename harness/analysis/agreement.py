"""Whether the yardsticks of a study agree: every effect under each of them, and how alike they rank the cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from harness.analysis import paired
from harness.analysis.effects import measured
from harness.analysis.outcomes import Outcomes
from harness.analysis.types import NAN, Agreement, Effect, RankAgreement, UnderYardsticks

_EXACT_UP_TO = 18  # cells, whose orders a float counts exactly
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
    tau, p = kendall(left[both], right[both]) if both.sum() >= 2 else (NAN, NAN)
    return RankAgreement(
        one=one.measure,
        other=other.measure,
        tau=tau,
        p=p,
        cells=int(both.sum()),
        reading=next(words for least, words in _ORDERS if tau >= least) if p < paired.ALPHA else "",
    )


def kendall(left: paired.Vector, right: paired.Vector) -> tuple[float, float]:
    """Kendall's tau-b of two orders and its two-sided p, which is exact where there are no ties.

    Of few cells without ties both are counted here, to the same bits as by scipy.stats: to load that takes longer than
    all else of a report.
    """
    n = len(left)
    if n > _EXACT_UP_TO or min(len(set(left)), len(set(right))) < n:
        from scipy import stats

        tau, p = map(float, stats.kendalltau(left, right))
        return tau, p
    pairs = n * (n - 1) // 2
    turned = sum(right[i] > right[j] for i, j in itertools.combinations(np.argsort(left), 2))
    root = math.sqrt(pairs)
    tau = (pairs - 2 * int(turned)) / root / root
    # How many of the n! orders have so many turned pairs, or fewer, or as many the other way round.
    counts = [1]
    for size in range(2, n + 1):
        counts = [sum(counts[max(0, k - size + 1) : k + 1]) for k in range(len(counts) + size - 1)]
    fewer = min(int(turned), pairs - int(turned))
    return max(-1.0, min(1.0, tau)), min(1.0, 2.0 * sum(counts[: fewer + 1]) / math.factorial(n))
