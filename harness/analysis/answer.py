"""The answer to a study's question: everything that its runs say, gathered once and tested as one family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from harness.analysis import paired, verdicts
from harness.analysis.agreement import agreement
from harness.analysis.effects import measured
from harness.analysis.equal import Curves, at_equal
from harness.analysis.factorial import fitted
from harness.analysis.failures import failure_rates
from harness.analysis.notes import notes
from harness.analysis.outcomes import Outcomes, measure
from harness.analysis.prices import bought, prices
from harness.analysis.shapley import shapley
from harness.analysis.space import Space
from harness.analysis.tried import tried
from harness.analysis.types import Answer, Effect, Factorial, View
from harness.analysis.views import side_by_side
from harness.design import Plan
from harness.measures import COSTS, IMAGES_PER_SECOND, TRAIN_SECONDS


def answer(runs: pd.DataFrame, plan: Plan, curves: Curves = {}) -> Answer:  # noqa: B006
    """All that the run table (a row a planned run) and the learning curves say of the study.

    Runs that a sampler picked by their results estimate no effect: of a search there are the cells that were tried.
    """
    quality, seconds = Outcomes.of(runs, plan, plan.objective), Outcomes.of(runs, plan, TRAIN_SECONDS)
    if plan.search is not None:
        return Answer(
            plan=plan,
            tried=tried(quality, seconds),
            prices=prices(quality, seconds),
            failures=failure_rates(quality),
            notes=notes(quality, seconds),
        )
    space = Space.of(quality)
    shares = shapley(space)
    effects, factorial, views = _tested(quality, space, side_by_side(space, shares))
    parts = [each for each in plan.measures if each.part_of == plan.objective.name and each.name in runs]
    yardsticks = [each for each in plan.measures if each.yardstick_of == plan.objective.name and each.name in runs]
    return Answer(
        plan=plan,
        effects=effects,
        costs={cost.name: _untested(Outcomes.of(runs, plan, cost)) for cost in COSTS},
        parts={part.name: _untested(Outcomes.of(runs, plan, part)) for part in parts},
        factorial=factorial,
        shapley=shares,
        views=views,
        bought=bought(quality, seconds),
        prices=prices(quality, seconds),
        equal=at_equal(curves, runs, Outcomes.of(runs, plan, IMAGES_PER_SECOND)),
        agreement=agreement(effects, quality, [Outcomes.of(runs, plan, each) for each in yardsticks]),
        failures=failure_rates(quality),
        notes=notes(quality, seconds),
    )


def effects(runs: pd.DataFrame, plan: Plan, metric: str) -> tuple[Effect, ...]:
    """What each contrast of the plan changes in a measure, in the plan's order.

    On the objective with the verdicts of the whole report; other measures are not tested. Raises StudyError where the
    plan has no such measure.
    """
    outcomes = Outcomes.of(runs, plan, measure(plan, metric))
    if metric != plan.objective.name:
        return _untested(outcomes)
    space = Space.of(outcomes)
    found, _, _ = _tested(outcomes, space, side_by_side(space, shapley(space)))
    return found


def _untested(outcomes: Outcomes) -> tuple[Effect, ...]:
    return tuple(map(verdicts.leaning, measured(outcomes)))


def _tested(
    quality: Outcomes, space: Space, views: Sequence[View]
) -> tuple[tuple[Effect, ...], Factorial | None, tuple[View, ...]]:
    """Effects, factorial and views with their verdicts."""
    found = measured(quality)
    adjusted = paired.holm(np.array([effect.p for effect in found]))
    effects = tuple(verdicts.judged(effect, p, len(found)) for effect, p in zip(found, adjusted.tolist(), strict=True))
    factorial = fitted(space)
    if factorial is not None:
        terms = factorial.terms
        p_terms = paired.holm(np.array([term.p for term in terms])).tolist()
        improves = quality.measure.improves
        factorial = replace(
            factorial,
            terms=tuple(
                verdicts.interaction(term, p, improves(term.estimate.value), space.endings)
                for term, p in zip(terms, p_terms, strict=True)
            ),
        )
    p_views = paired.holm(np.array([view.p for view in views])).tolist()
    views = tuple(
        replace(
            view,
            p_adjusted=p,
            disagree=p < paired.ALPHA,
            partner=_partner(view.factor, factorial) if p < paired.ALPHA else "",
        )
        for view, p in zip(views, p_views, strict=True)
    )
    return effects, factorial, views


def _partner(factor: str, factorial: Factorial | None) -> str:
    """The other factor of the largest interaction that is shown; "" where none is."""
    shown = [
        (abs(term.estimate.value), other)
        for term in (factorial.terms if factorial else ())
        if len(term.factors) == 2 and factor in term.factors and term.p_adjusted < paired.ALPHA
        for other in term.factors
        if other != factor
    ]
    return max(shown)[1] if shown else ""
