"""Effects: every contrast of a plan estimated from runs paired by seed, with interval and p."""

from __future__ import annotations

import math

import numpy as np

from harness.analysis import paired, ranks
from harness.analysis import worth as worths
from harness.analysis.outcomes import Mask, Matrix, Outcomes, seed_means, usable
from harness.analysis.paired import Vector
from harness.analysis.types import NAN, Bought, Effect, Endings, Estimate
from harness.design import Contrast
from harness.measures import RunState


def measured(outcomes: Outcomes) -> tuple[Effect, ...]:
    """What each contrast of the plan changes in the measure, in the plan's order; not judged.

    Per seed the difference is the mean of (treated - control) over the contrast's pairs in which both runs are
    complete; of a fractional design only seeds count in which all are. Seeds are the replicates. Intervals are not
    adjusted for their number. Where the plan tests by ranks the change is the typical one (Hodges and Lehmann's), with
    interval and p of Wilcoxon's signed ranks. The ratio is unknown unless all values are positive, `wins` for
    fractional designs, whose pairs differ in more than the trick. Changes keep their sign, whichever direction is
    better.
    """
    return tuple(_effect(contrast, outcomes) for contrast in outcomes.plan.contrasts)


def _effect(contrast: Contrast, outcomes: Outcomes) -> Effect:
    with_it, without = outcomes.sides(contrast)
    both = usable(contrast, with_it, without)
    sides = seed_means(with_it, both), seed_means(without, both)
    return estimated(contrast, outcomes, *sides, seed_means(with_it - without, both), _logs(with_it, without, both))


def estimated(
    contrast: Contrast, outcomes: Outcomes, treated: Matrix, control: Matrix, differences: Matrix, logs: Matrix
) -> Effect:
    """The effect by the means of its sides, their differences and the differences of their logarithms, [seed] each."""
    # Noise of summation must not pass for an effect: below this the differences are one number, or zero.
    differences = paired.rounded(differences, np.maximum(np.abs(treated), np.abs(control)))
    n = len(differences)
    by_ranks = outcomes.plan.test == "ranks"
    change = ranks.estimate(differences, paired.ALPHA) if by_ranks else paired.estimate(differences)
    control_mean = paired.mean(control)
    deviation = math.nan
    if n >= 2:
        deviation = float(np.std(differences, ddof=1)) if np.ptp(differences) else 0.0
    ended_with, ended_without = map(outcomes.endings, zip(*contrast.pairs, strict=True))
    margin = np.full(n, math.nan)
    if outcomes.measure.name == outcomes.plan.objective.name:
        margin = worths.margins(outcomes.plan.worth, control)
    return Effect(
        contrast=contrast,
        measure=outcomes.measure,
        n=n,
        treated_mean=paired.mean(treated),
        control_mean=control_mean,
        control_sd=float(np.std(control, ddof=1)) if n >= 2 else math.nan,
        change=change,
        bootstrap=paired.bootstrap(differences),
        ratio=_ratio(logs),
        relative=change.value / abs(control_mean) if n and control_mean else math.nan,
        size=_over(paired.mean(differences), deviation),
        wins=_wins(outcomes, contrast) if contrast.matched else math.nan,
        p=_p(differences, outcomes.grain, by_ranks) if n else _p_of_endings(ended_with, ended_without),
        p_signs=paired.sign_flip_p(differences),
        treated=ended_with,
        control=ended_without,
        worth=paired.mean(margin),
        worth_size=_over(paired.mean(margin), deviation),
        p_within=worths.p_within(differences, margin, None if by_ranks else outcomes.grain),
        p_beyond=worths.p_beyond(differences, margin, None if by_ranks else outcomes.grain),
        pairing=_correlation(treated, control),
        pairing_gain=_gain(treated, control, deviation),
        identical=bool(n and not differences.any()),
    )


def _p(differences: Vector, grain: float, by_ranks: bool) -> float:
    if not by_ranks:
        return paired.t_p(differences, grain)
    return ranks.p_either(differences) if len(differences) > 1 else NAN


def _over(value: float, deviation: float) -> float:
    """`value` in standard deviations, infinite where there is none; 0 of nothing."""
    if deviation == 0:
        return math.copysign(math.inf, value) if value else 0.0
    return value / deviation


def _p_of_endings(treated: Endings, control: Endings) -> float:
    """Fisher's exact p of a side whose runs all diverged against the other's; NaN where some may still train.

    Of several cells a side the runs of a seed are taken for independent.
    """
    if treated.planned < 2 or treated.diverged < treated.planned:
        return NAN
    from scipy import stats  # loads for most of a second, which a report without such runs does without

    table = np.array([[treated.diverged, treated.complete], [control.diverged, control.complete]])
    return float(stats.fisher_exact(table).pvalue)


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


def _ratio(logs: Matrix) -> Estimate:
    change = paired.estimate(logs)
    # One wild seed of two gives log intervals beyond what a float holds; those are as good as none.
    return Estimate(*(math.exp(end) if not end >= 700 else math.inf for end in (change.value, change.low, change.high)))


def _correlation(one: Matrix, other: Matrix) -> float:
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return NAN
    return float(np.corrcoef(one, other)[0, 1])


def _gain(one: Matrix, other: Matrix, deviation: float) -> float:
    """The variance of a difference without pairs, over that of paired ones, whose standard deviation is given."""
    if len(one) < 3 or not deviation > 0:
        return NAN
    sizes = (float(np.std(side, ddof=1)) / deviation for side in (one, other))
    return sum(size * size for size in sizes)


def _wins(outcomes: Outcomes, contrast: Contrast) -> float:
    """Share of paired runs won by the treated one, ties half: keeps the runs that diverged, as the worst there is."""
    scores = np.where(outcomes.states == RunState.DIVERGED, -np.inf, outcomes.measure.sign * outcomes.values)
    with_it, without = outcomes.sides(contrast, scores)
    both = ~np.isnan(with_it) & ~np.isnan(without)
    won, tied = with_it[both] > without[both], with_it[both] == without[both]
    return paired.mean(won + 0.5 * tied)
