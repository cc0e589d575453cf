"""Effects: every contrast of a plan estimated from runs paired by seed, with interval and p."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from harness.analysis import paired
from harness.analysis.outcomes import Mask, Matrix, Outcomes, seed_means, usable
from harness.analysis.types import NAN, Effect, Estimate
from harness.design import Contrast
from harness.measures import RunState


def measured(outcomes: Outcomes) -> tuple[Effect, ...]:
    """What each contrast of the plan changes in the measure, in the plan's order; not judged.

    Per seed the difference is the mean of (treated - control) over the contrast's pairs in which both runs are
    complete; of a fractional design only seeds count in which all are. Seeds are the replicates. Intervals are not
    adjusted for their number. The ratio is unknown unless all values are positive, `wins` for fractional designs,
    whose pairs differ in more than the trick. Changes keep their sign, whichever direction is better.
    """
    return tuple(_effect(contrast, outcomes) for contrast in outcomes.plan.contrasts)


def _effect(contrast: Contrast, outcomes: Outcomes) -> Effect:
    with_it, without = outcomes.sides(contrast)
    both = usable(contrast, with_it, without)
    means_with, means_without = seed_means(with_it, both), seed_means(without, both)
    mean_without = paired.mean(means_without)
    # Noise of summation must not pass for an effect: below this the differences are one number, or zero.
    scale = float(np.max(np.abs(np.concatenate((means_with, means_without))), initial=0.0))
    differences = paired.rounded(seed_means(with_it - without, both), scale)
    n = len(differences)
    change = paired.estimate(differences)
    size = math.nan
    if n >= 2:
        infinite = math.copysign(math.inf, change.value) if change.value else 0.0
        size = change.value / float(np.std(differences, ddof=1)) if np.ptp(differences) else infinite
    treated, control = zip(*contrast.pairs, strict=True)
    return Effect(
        contrast=contrast,
        measure=outcomes.measure,
        n=n,
        treated_mean=paired.mean(means_with),
        control_mean=mean_without,
        control_sd=float(np.std(means_without, ddof=1)) if n >= 2 else math.nan,
        change=change,
        bootstrap=Estimate(change.value, *paired.bootstrap_interval(differences)),
        ratio=_ratio(with_it, without, both),
        relative=change.value / abs(mean_without) if n and mean_without else math.nan,
        size=size,
        wins=_wins(outcomes, contrast) if contrast.matched else math.nan,
        p=paired.t_p(differences, outcomes.fixed),
        p_signs=paired.sign_flip_p(differences),
        treated=outcomes.endings(treated),
        control=outcomes.endings(control),
        pairing=_correlation(means_with, means_without),
        identical=bool(n and not differences.any()),
    )


def log_ratios(outcomes: Outcomes, contrast: Contrast) -> dict[int, float]:
    """Seed -> the logarithm of treated over control; none unless all values are positive."""
    with_it, without = outcomes.sides(contrast)
    both = usable(contrast, with_it, without)
    seeds = np.array(outcomes.seeds)[both.any(axis=0)].tolist()
    return dict(zip(seeds, _logs(with_it, without, both).tolist(), strict=False))


def _logs(with_it: Matrix, without: Matrix, both: Mask) -> Matrix:
    if not both.any() or with_it[both].min() <= 0 or without[both].min() <= 0:
        return np.zeros(0)
    logs = np.zeros_like(with_it)
    logs[both] = np.log(with_it[both]) - np.log(without[both])
    return seed_means(logs, both)


def _ratio(with_it: Matrix, without: Matrix, both: Mask) -> Estimate:
    change = paired.estimate(_logs(with_it, without, both))
    # One wild seed of two gives log intervals beyond what a float holds; those are as good as none.
    return Estimate(*(math.exp(end) if not end >= 700 else math.inf for end in (change.value, change.low, change.high)))


def _correlation(one: Matrix, other: Matrix) -> float:
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return NAN
    return float(np.corrcoef(one, other)[0, 1])


def _wins(outcomes: Outcomes, contrast: Contrast) -> float:
    """Share of paired runs won by the treated one, ties half: keeps the runs that diverged, as the worst there is."""
    scores = np.where(outcomes.states == RunState.DIVERGED, -np.inf, outcomes.measure.sign * outcomes.values)
    treated, control = zip(*contrast.pairs, strict=True)
    with_it, without = scores[outcomes.rows(treated)], scores[outcomes.rows(control)]
    both: NDArray[np.bool_] = ~np.isnan(with_it) & ~np.isnan(without)
    if not both.any():
        return math.nan
    won, tied = with_it[both] > without[both], with_it[both] == without[both]
    return float(np.mean(won + 0.5 * tied))
