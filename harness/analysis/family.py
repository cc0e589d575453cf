"""The tests of a report as one family: Holm's correction over all of them, and one verdict a trick in every table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.analysis import paired, verdicts
from harness.analysis.effects import measured
from harness.analysis.interplay import fitted, shapley, side_by_side
from harness.analysis.outcomes import Outcomes
from harness.analysis.space import Space
from harness.analysis.types import NAN, Answer, Effect, Term, View
from harness.spec import label


def claims(quality: Outcomes) -> Answer:
    """The part of the answer that makes claims on the objective, corrected over all tests of the report.

    The family is every contrast's t test and, of a factorial, every interaction that is not confounded with another
    term; without a factorial, whether each trick does alone what it does in the full recipe, where both were run. A
    main effect is no test of its own: it has the verdict of the trick's contrast.
    """
    space = Space.of(quality)
    shares = shapley(space)
    effects, factorial, views = measured(quality), fitted(space), side_by_side(space, shares)
    interactions = [term for term in factorial.terms if len(term.factors) == 2] if factorial else []
    clear = [term for term in interactions if not term.aliases]
    asked = [] if factorial else [view for view in views if view.alone and view.full]
    raw = [*(effect.p for effect in effects), *(term.p for term in clear), *(view.p for view in asked)]
    p = paired.holm(np.array(raw)).tolist()
    tested = [*range(len(effects)), *(term.factors for term in clear), *(view.factor for view in asked)]
    adjusted = dict(zip(tested, p, strict=True))
    judged = tuple(verdicts.judged(effect, adjusted[place], len(p)) for place, effect in enumerate(effects))
    if factorial:
        terms = tuple(
            _main(term, space, judged)
            if len(term.factors) == 1
            else verdicts.interaction(
                term, adjusted.get(term.factors, NAN), quality.measure.improves(term.estimate.value), space.endings
            )
            for term in factorial.terms
        )
        factorial = replace(factorial, terms=terms)
        views = tuple(_by_interactions(view, terms) for view in views)
    else:
        found = (replace(view, p_adjusted=adjusted.get(view.factor, NAN)) for view in views)
        views = tuple(replace(view, disagree=view.p_adjusted < paired.ALPHA) for view in found)
    return Answer(plan=quality.plan, effects=judged, factorial=factorial, shapley=shares, views=views)


def _main(term: Term, space: Space, effects: Sequence[Effect]) -> Term:
    """A main effect with what is said of the factor at that level over several settings of the others."""
    (factor,) = term.factors
    same = [
        effect
        for effect in effects
        if effect.contrast.factor == factor
        and label(effect.contrast.level) == label(space.levels[factor])
        and len(effect.contrast.pairs) > 1
    ]
    if not same:
        return replace(term, p=NAN)
    effect = max(same, key=lambda each: len(each.contrast.pairs))
    return replace(term, p=effect.p, p_adjusted=effect.p_adjusted, verdict=effect.verdict, reading=effect.reading)


def _by_interactions(view: View, terms: Sequence[Term]) -> View:
    """A view that disagrees where an interaction of its factor is shown, and with whom the largest is."""
    own = [term for term in terms if len(term.factors) == 2 and view.factor in term.factors and term.p_adjusted <= 1]
    if not own:
        return replace(view, p=NAN)
    surest = min(own, key=lambda term: (term.p_adjusted, term.p))
    shown = [term for term in own if term.p_adjusted < paired.ALPHA]
    if not shown:
        return replace(view, p=surest.p, p_adjusted=surest.p_adjusted)
    largest = max(shown, key=lambda term: abs(term.estimate.value))
    (partner,) = set(largest.factors) - {view.factor}
    return replace(view, p=surest.p, p_adjusted=surest.p_adjusted, disagree=True, partner=partner)
