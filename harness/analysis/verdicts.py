"""Verdicts: the tests of a report as one family by Holm's correction, and what every table says of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.analysis import paired
from harness.analysis.course import Course
from harness.analysis.effects import measured
from harness.analysis.interplay import fitted, shapley, side_by_side
from harness.analysis.outcomes import Outcomes
from harness.analysis.power import seeds_needed
from harness.analysis.space import Space
from harness.analysis.types import NAN, Answer, Effect, Endings, Term, Verdict, View
from harness.analysis.waves import in_waves
from harness.design import Alias
from harness.spec import label

_MOST_ALIASES = 3  # by name in a reading
_MAY = {Verdict.HELPS: "may help", Verdict.HURTS: "may hurt"}
_TOGETHER = {Verdict.HELPS: "better together", Verdict.HURTS: "worse together"}


def claims(quality: Outcomes, course: Course | None = None) -> Answer:
    """The part of the answer that makes claims on the objective, corrected over all tests of the report.

    The family is every contrast's t test and, of a factorial, every interaction that is not confounded with another
    term; without a factorial, whether each trick does alone what it does in the full recipe, where both were run. A
    main effect is no test of its own: it has the number and the verdict of the trick's contrast. Being negligible, and
    being beyond the worth, are hypotheses of the contrasts alone, each with Holm's correction over all of them.

    Of a study in waves, whose runs so far are those of `quality`, the contrasts are the whole family and the verdicts
    are those of its last look; interactions and views are estimated and not tested.
    """
    space = Space.of(quality)
    shares = shapley(space)
    effects = measured(quality) if course is None else in_waves(quality, course)
    factorial, views = fitted(space), side_by_side(space, shares)
    interactions = [term for term in factorial.terms if len(term.factors) == 2] if factorial else []
    clear = [term for term in interactions if not term.aliases and course is None]
    asked = [] if factorial or course else [view for view in views if view.alone and view.full]
    raw = [
        *(NAN if course and not effect.n else effect.p for effect in effects),
        *(term.p for term in clear),
        *(view.p for view in asked),
    ]
    p = paired.holm(np.array(raw)).tolist()
    tested = [*range(len(effects)), *(term.factors for term in clear), *(view.factor for view in asked)]
    adjusted = dict(zip(tested, p, strict=True))
    within, beyond = (
        paired.holm(np.array([getattr(effect, name) for effect in effects])).tolist()
        for name in ("p_within", "p_beyond")
    )
    corrected = [
        replace(effect, p_adjusted=adjusted[place], p_within=inside, p_beyond=outside)
        for place, (effect, inside, outside) in enumerate(zip(effects, within, beyond, strict=True))
    ]
    if course is None:
        judged = tuple(_judged(effect, len(p), len(effects)) for effect in corrected)
    else:
        said = course.last.verdicts if course.last else [Verdict.UNDECIDED] * len(effects)
        judged = tuple(_looked_at(effect, verdict, len(p)) for effect, verdict in zip(corrected, said, strict=True))
    if factorial:
        terms = tuple(
            _main(term, space, judged)
            if len(term.factors) == 1
            else _untested(term)
            if course
            else _interaction(
                term, adjusted.get(term.factors, NAN), quality.measure.improves(term.estimate.value), space.endings
            )
            for term in factorial.terms
        )
        factorial = replace(factorial, terms=terms)
        views = tuple(_by_interactions(view, terms) for view in views)
    else:
        found = (replace(v, p=NAN if course else v.p, p_adjusted=adjusted.get(v.factor, NAN)) for v in views)
        sure = paired.ALPHA  # of runs that diverged what is left may be the lucky ones
        views = tuple(replace(v, disagree=v.p_adjusted < sure and not v.endings.diverged) for v in found)
    return Answer(plan=quality.plan, effects=judged, factorial=factorial, shapley=shares, views=views)


def _main(term: Term, space: Space, effects: Sequence[Effect]) -> Term:
    """A main effect with the number and the words of the factor's contrast, so that every table says the same."""
    (factor,) = term.factors
    same = [
        effect
        for effect in effects
        if effect.contrast.factor == factor
        and label(effect.contrast.level) == label(space.levels[factor])
        and len(effect.contrast.pairs) > 1
    ]
    if not same:
        return replace(term, p=NAN, reading="not tested")
    effect = max(same, key=lambda each: len(each.contrast.pairs))
    said = replace(term, p_adjusted=effect.p_adjusted, verdict=effect.verdict, reading=effect.reading)
    return replace(said, estimate=effect.change, p=effect.p)


def _by_interactions(view: View, terms: Sequence[Term]) -> View:
    """A view that disagrees where an interaction of its factor is shown, and with whom the largest is."""
    own = [term for term in terms if len(term.factors) == 2 and view.factor in term.factors and term.p_adjusted <= 1]
    if not own:
        return replace(view, p=NAN)
    surest = min(own, key=lambda term: (term.p_adjusted, term.p))
    shown = [term for term in own if term.verdict is not Verdict.UNDECIDED]
    if not shown:
        return replace(view, p=surest.p, p_adjusted=surest.p_adjusted)
    largest = max(shown, key=lambda term: abs(term.estimate.value))
    (partner,) = set(largest.factors) - {view.factor}
    return replace(view, p=surest.p, p_adjusted=surest.p_adjusted, disagree=True, partner=partner)


def _judged(effect: Effect, family: int, contrasts: int) -> Effect:
    """`effect` on the objective with its verdict and, where nothing is shown, the seeds that would decide it.

    `family` counts the tests of the report, over which p is corrected, `contrasts` those of them that may be
    negligible.
    """
    shown, within = effect.p_adjusted < paired.ALPHA, effect.p_within < paired.ALPHA
    side = _direction(effect) if shown else None
    levels = paired.ALPHA / max(1, family), paired.ALPHA / max(1, contrasts)
    worth = effect.worth_size if effect.worth_size > 0 else 0.0
    left = None if shown or within else seeds_needed(effect.size, effect.n, levels[0], worth, levels[1])
    return replace(_said(effect, side, within), seeds_needed=left)


def _looked_at(effect: Effect, verdict: Verdict, family: int) -> Effect:
    """`effect` on the objective of a study in waves with the verdict of its last look, under the usual conditions.

    A trick that got no number, since all of its runs diverged, hurts where Fisher's p times the family is below the
    level. This keeps the error at the level without a share of its own: it is tested once, at the wave at which such a
    trick is dropped. Given how many runs of its two sides had diverged by then, either these are too few to be all of
    one side's, and the looks alone can err; or they are as many, and then any other split of them between the sides
    leaves some on the side where a claim of the looks needs that none diverged (the trick's for helps, the control's
    for hurts), or leaves them no number, so that Fisher's test alone can err.
    """
    if not effect.n:
        effect = replace(effect, p_adjusted=NAN if math.isnan(effect.p) else min(1.0, family * effect.p))
        side = Verdict.HURTS if effect.p_adjusted < paired.ALPHA else None
        return _said(effect, side, False)
    return _said(effect, verdict if verdict in _MAY else None, verdict is Verdict.NEGLIGIBLE)


def _said(effect: Effect, side: Verdict | None, within: bool) -> Effect:
    """`effect` with its verdict and reading: shown to help or hurt where there is a `side`, negligible where within."""
    verdict, lean, words = _claim(effect, side, within)
    standing = effect.standing if verdict is Verdict.UNDECIDED else None
    where = [str(standing)] if standing else []
    reading = "; ".join([words, *_endings(effect), *where, *map(str, effect.frozen)])
    return replace(effect, verdict=verdict, lean=lean, standing=standing, reading=reading)


def leaning(effect: Effect) -> Effect:
    """`effect` on a measure that is not tested: undecided, leaning to where its interval lies."""
    return replace(effect, lean=_direction(effect) if effect.change.excludes_zero else None)


def _untested(term: Term) -> Term:
    """An interaction of a study in waves."""
    return replace(term, p=NAN, reading=_alike(term) if term.aliases else "not tested")


def _alike(term: Term) -> str:
    return f"not told apart from {', '.join(' x '.join(other) for other in term.aliases)}"


def _interaction(term: Term, p_adjusted: float, improves: bool, endings: Endings) -> Term:
    """An interaction with its verdict: `helps` where both factors together are better than their sum.

    `endings` are those of all runs of the fit: that some diverged may make what is left look so.
    """
    side = Verdict.HELPS if improves else Verdict.HURTS
    condition = f" where they train; {endings.diverged} of {endings.ended} diverged" if endings.diverged else ""
    verdict, words = Verdict.UNDECIDED, "undecided"
    if term.aliases:
        words = _alike(term)
    elif p_adjusted < paired.ALPHA:
        verdict, words = Verdict.UNDECIDED if condition else side, f"{_TOGETHER[side]}{condition}"
    elif term.estimate.excludes_zero:
        words = f"undecided: may be {_TOGETHER[side]}{condition}"
    return replace(term, p_adjusted=p_adjusted, verdict=verdict, reading=words)


def _claim(effect: Effect, shown: Verdict | None, within: bool) -> tuple[Verdict, Verdict | None, str]:
    treated, control = effect.treated, effect.control
    if effect.n == 0:
        if treated.planned and treated.diverged == treated.planned:
            words = f"diverged in all {treated.diverged} runs"
            if shown and not effect.contrast.aliases:
                return Verdict.HURTS, None, words
            held = f", as an alias of it may do ({_named(effect.contrast.aliases)})" if effect.contrast.aliases else ""
            return Verdict.UNDECIDED, Verdict.HURTS if control.complete else None, f"undecided: {words}{held}"
        if control.planned and control.diverged == control.planned:
            lean = Verdict.HELPS if treated.complete else None
            return Verdict.UNDECIDED, lean, f"undecided: control diverged in all {control.diverged} runs"
        return Verdict.UNDECIDED, None, "no paired runs yet" if effect.contrast.matched else "no seed is whole yet"
    if effect.identical:
        sure = within and not treated.diverged and not control.diverged
        return Verdict.NEGLIGIBLE if sure else Verdict.UNDECIDED, None, "identical"
    if effect.n == 1:
        return Verdict.UNDECIDED, None, "one seed says nothing"
    side = shown or _direction(effect)
    condition = ""  # the runs that a side has left may be its lucky ones
    if side is Verdict.HELPS and treated.diverged:
        condition = " where it trains"
    elif side is Verdict.HURTS and control.diverged:
        condition = " where the control trains"
    if within and not shown:
        return _negligible(effect)
    if shown:
        if effect.contrast.aliases:
            condition += f", or an alias of it does ({_named(effect.contrast.aliases)})"
        return (
            (Verdict.UNDECIDED, side, f"{side}{condition}") if condition else (side, None, f"{side}{_beyond(effect)}")
        )
    if effect.change.excludes_zero:
        return Verdict.UNDECIDED, side, f"undecided: {_MAY[side]}{condition}"
    return Verdict.UNDECIDED, None, "undecided"


def _negligible(effect: Effect) -> tuple[Verdict, Verdict | None, str]:
    """What is said of a change within plus and minus the worth that is not shown to be there at all."""
    where = {
        (True, False): " where it trains",
        (False, True): " where the control trains",
        (True, True): " where both train",
    }
    condition = where.get((effect.treated.diverged > 0, effect.control.diverged > 0), "")
    if effect.contrast.aliases:
        condition += f", or hidden by an alias of it ({_named(effect.contrast.aliases)})"
    return Verdict.UNDECIDED if condition else Verdict.NEGLIGIBLE, None, f"{Verdict.NEGLIGIBLE}{condition}"


def _beyond(effect: Effect) -> str:
    """Whether an effect is shown to be as large as is worth having; "" where nothing says how large that is."""
    if math.isnan(effect.p_beyond):
        return ""
    if effect.p_within < paired.ALPHA:  # what diverged may have been worse by any amount
        return "" if effect.treated.diverged or effect.control.diverged else ", by less than the worth"
    return " by more than the worth" if effect.p_beyond < paired.ALPHA else ", perhaps by less than the worth"


def _named(aliases: Sequence[Alias]) -> str:
    """The aliases that a main effect holds most of, by name."""
    largest = sorted(aliases, key=lambda alias: -abs(alias.share))
    names = ", ".join(" x ".join(alias.factors) for alias in largest[:_MOST_ALIASES])
    return names + (f" and {len(largest) - _MOST_ALIASES} more" if len(largest) > _MOST_ALIASES else "")


def _direction(effect: Effect) -> Verdict:
    return Verdict.HELPS if effect.measure.improves(effect.change.value) else Verdict.HURTS


def _endings(effect: Effect) -> list[str]:
    """The runs that ended badly, unless the claim says so: that all runs of the treated, or else the control, did."""
    treated, control = effect.treated, effect.control
    lost = [not effect.n and 0 < side.planned == side.diverged for side in (treated, control)]
    said = []
    if treated.diverged and not lost[0]:
        said.append(f"{treated.diverged} of {treated.ended} diverged")
    if control.diverged and (lost[0] or not lost[1]):
        said.append(f"control: {control.diverged} of {control.ended} diverged")
    if treated.failed:
        said.append(f"{treated.failed} of {treated.ended} failed")
    return said
