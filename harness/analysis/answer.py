"""The answer to a study's question: everything that its runs say, gathered once and tested as one family."""

from __future__ import annotations

import pandas as pd

from harness.analysis import verdicts
from harness.analysis.agreement import agreement
from harness.analysis.effects import measured
from harness.analysis.equal import Curves, at_equal
from harness.analysis.failures import failure_rates
from harness.analysis.family import claims
from harness.analysis.notes import notes
from harness.analysis.outcomes import Outcomes, measure, settled
from harness.analysis.prices import bought, prices
from harness.analysis.shapley import shapley
from harness.analysis.space import Space
from harness.analysis.tried import tried
from harness.analysis.types import Answer, Effect
from harness.analysis.views import side_by_side
from harness.design import Plan
from harness.measures import COSTS, IMAGES_PER_SECOND, TRAIN_SECONDS


def answer(runs: pd.DataFrame, plan: Plan, curves: Curves = {}) -> Answer:  # noqa: B006
    """All that the run table (a row a planned run) and the learning curves say of the study.

    Runs that a sampler picked by their results estimate no effect: of a search there are the cells that were tried.
    """
    runs = settled(runs, plan)
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
    found = claims(quality, space, side_by_side(space, shares))
    parts = [each for each in plan.measures if each.part_of == plan.objective.name and each.name in runs]
    yardsticks = [each for each in plan.measures if each.yardstick_of == plan.objective.name and each.name in runs]
    return Answer(
        plan=plan,
        effects=found.effects,
        costs={cost.name: _untested(Outcomes.of(runs, plan, cost)) for cost in COSTS},
        parts={part.name: _untested(Outcomes.of(runs, plan, part)) for part in parts},
        factorial=found.factorial,
        shapley=shares,
        views=found.views,
        bought=bought(quality, seconds),
        prices=prices(quality, seconds),
        equal=at_equal(curves, runs, Outcomes.of(runs, plan, IMAGES_PER_SECOND)),
        agreement=agreement(found.effects, quality, [Outcomes.of(runs, plan, each) for each in yardsticks]),
        failures=failure_rates(quality),
        notes=notes(quality, seconds),
    )


def effects(runs: pd.DataFrame, plan: Plan, metric: str) -> tuple[Effect, ...]:
    """What each contrast of the plan changes in a measure, in the plan's order.

    On the objective with the verdicts of the whole report; other measures are not tested. Raises StudyError where the
    plan has no such measure.
    """
    outcomes = Outcomes.of(settled(runs, plan), plan, measure(plan, metric))
    if metric != plan.objective.name:
        return _untested(outcomes)
    space = Space.of(outcomes)
    return claims(outcomes, space, side_by_side(space, shapley(space))).effects


def _untested(outcomes: Outcomes) -> tuple[Effect, ...]:
    return tuple(map(verdicts.leaning, measured(outcomes)))
