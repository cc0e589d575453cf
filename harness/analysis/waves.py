"""The effects of a study in waves: estimates, intervals and p that hold over all looks at once, and what is left to do.

What the looks say of a trick is `sequential.looks`; here are the numbers beside it, from the very same differences.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.analysis import paired
from harness.analysis import worth as worths
from harness.analysis.course import Course, rule_of
from harness.analysis.effects import estimated
from harness.analysis.grain import Grain
from harness.analysis.outcomes import Matrix, Outcomes
from harness.analysis.paired import Vector
from harness.analysis.power import size_interval
from harness.analysis.rules import Rule
from harness.analysis.sequential import Look, interval, p_negligible, p_value
from harness.analysis.standing import Standing
from harness.analysis.types import NAN, Effect, Estimate, SeedsNeeded, Verdict
from harness.design import Plan

_STEPS = 16  # of the sizes that a range of seeds is taken over


def in_waves(quality: Outcomes, course: Course) -> tuple[Effect, ...]:
    """What each contrast changes in the objective by the seeds that its looks were taken at; not judged.

    `quality` is of the runs that the course has asked for. p are of all looks so far, not corrected for several
    contrasts; NaN before the first look, when nothing is tested. Of a trick that gets no more seeds since none of its
    own runs left a number, p is Fisher's, of its runs diverging more often than the control's.
    """
    plan = quality.plan
    assert plan.waves is not None, "a plan of fixed size has no waves"
    rule, seeds = rule_of(plan.waves, plan.test), list(dict.fromkeys(run.seed for run in plan.runs))
    found = []
    for place, contrast in enumerate(plan.contrasts):
        differences, control = course.differences[place], course.controls[place]
        known = ~np.isnan(differences)
        gone, without = differences[known], control[known]
        with_it = without + gone
        effect = estimated(
            contrast, _first(quality, seeds[: len(differences)]), with_it, without, gone, _logs(with_it, without)
        )
        standing = _standing(place, len(differences), course.last, rule)
        p = within = beyond = NAN
        if not known.any() and standing.left == 0:
            p = effect.p
        if course.last is not None and known.any():
            gains, margin = quality.measure.sign * differences, np.full(len(known), np.nan)
            margin[known] = worths.margins(plan.worth, without)
            p = p_value(gains, rule, course.grain)
            if not np.isnan(margin[known]).any():
                within = p_negligible(gains, margin, rule, course.grain)
                beyond = _p_beyond(gains, margin, rule, course.grain)
        gone = paired.rounded(gone, np.maximum(np.abs(with_it), np.abs(without)))
        found.append(
            replace(
                effect,
                change=interval(differences, rule, grain=course.grain),
                standing=standing,
                frozen=tuple(
                    each
                    for each in course.frozen.values()
                    if each.design == contrast.design and each.factor != contrast.factor and each.after < len(known)
                ),
                seeds_needed=_needed(place, gone, effect.worth, course.last, rule),
                p=p,
                p_within=within,
                p_beyond=beyond,
            )
        )
    return tuple(found)


def narrowing(course: Course, plan: Plan) -> tuple[tuple[tuple[int, Estimate], ...], ...]:
    """[trick] (wave, the change by then with the interval that holds over all looks), at every look it took part in."""
    assert plan.waves is not None, "a plan of fixed size has no looks"
    rule = rule_of(plan.waves, plan.test)
    return tuple(
        tuple(
            (look.wave, interval(own[: look.wave], rule, grain=course.grain))
            for look in course.looks
            if look.wave <= len(own) and not np.isnan(own[: look.wave]).all()
        )
        for own in course.differences
    )


def _first(outcomes: Outcomes, seeds: list[int]) -> Outcomes:
    """The outcomes of these seeds alone, so that runs of later ones are not counted among a trick's."""
    columns = [column for column, seed in enumerate(outcomes.seeds) if seed in seeds]
    plan = replace(outcomes.plan, runs=tuple(run for run in outcomes.plan.runs if run.seed in seeds))
    kept = tuple(outcomes.seeds[column] for column in columns)
    return replace(
        outcomes, plan=plan, seeds=kept, values=outcomes.values[:, columns], states=outcomes.states[:, columns]
    )


def _logs(with_it: Vector, without: Vector) -> Matrix:
    if not len(with_it) or min(with_it.min(), without.min()) <= 0:
        return np.zeros(0)
    return np.asarray(np.log(with_it) - np.log(without))


def _p_beyond(gains: Vector, margin: Vector, rule: Rule, grain: Grain) -> float:
    """p of the mean gain not being beyond the mean margin, whichever side it is on, of all looks so far.

    At either edge one of two one-sided tests at half the level errs, and the other all but never.
    """
    sides = (rule.path(side - margin, grain) for side in (gains, -gains))
    return min(rule.p(np.maximum(statistic, 0.0), counts) for statistic, counts in sides)


def _standing(place: int, seeds: int, look: Look | None, rule: Rule) -> Standing:
    """Where a trick stands by its looks, if it is undecided."""
    shown = look is not None and look.verdicts[place] is not Verdict.UNDECIDED
    unlikely = look is not None and place in look.unlikely
    return Standing(seeds=seeds, first=rule.first, most=rule.most, unlikely=unlikely, shown=shown)


def _needed(place: int, differences: Vector, worth: float, look: Look | None, rule: Rule) -> SeedsNeeded | None:
    """The seeds after which a trick that goes on should be decided, for the size seen and over its 80 % interval."""
    n = len(differences)
    if look is None or place not in look.going_on or n < 2 or not np.ptp(differences):
        return None
    deviation = float(np.std(differences, ddof=1))
    seen, room = abs(float(np.mean(differences))) / deviation, worth / deviation
    shown = max(1, sum(verdict not in (Verdict.HELPS, Verdict.HURTS) for verdict in look.verdicts))
    within = max(1, sum(verdict is not Verdict.NEGLIGIBLE for verdict in look.verdicts))
    most = rule.most or n + 1000
    counts = np.arange(n + 1, most + 1)
    limits = rule.limits(paired.ALPHA / shown, counts), rule.limits(2 * paired.ALPHA / within, counts)

    def decided(size: float) -> int | None:
        """The first of the counts at which the mean path of such an effect, from where it stands, is at a limit."""
        mean = (n * seen + (counts - n) * size) / counts
        reached = np.abs(mean) * np.sqrt(counts) >= limits[0]
        if room > 0:
            reached |= (room - np.abs(mean)) * np.sqrt(counts) >= limits[1]
        return int(counts[reached.argmax()]) if reached.any() else None

    low, high = size_interval(seen, n)
    several = [decided(size) for size in (seen, *(low + (high - low) * step / _STEPS for step in range(_STEPS + 1)))]
    known = [each for each in several if each is not None]
    return SeedsNeeded(several[0], min(known, default=None), max(known) if len(known) == len(several) else None)
