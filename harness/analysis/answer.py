"""The answer to a study's question: everything that its runs say, gathered once and tested as one family."""

from __future__ import annotations

from collections.abc import Iterable

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
from harness.measures import COSTS, IMAGES_PER_SECOND, TRAIN_SECONDS, Measure


def answer(runs: pd.DataFrame, plan: Plan, curves: Curves = {}) -> Answer:  # noqa: B006
    """All that the run table (a row a planned run) and the learning curves say of the study.

    Runs that a sampler picked by their results estimate no effect: a search has no contrasts, and the cells it tried.
    """
    runs = settled(runs, plan)

    def of(measures: Iterable[Measure]) -> list[Outcomes]:
        return [Outcomes.of(runs, plan, each) for each in measures]

    known, objective = [each for each in plan.measures if each.name in runs], plan.objective
    quality, seconds, speed = of((objective, TRAIN_SECONDS, IMAGES_PER_SECOND))
    costs, parts = of(COSTS), of(each for each in known if each.part_of == objective.name)
    space = Space.of(quality)
    shares = shapley(space)
    found = claims(quality, space, side_by_side(space, shares))
    return Answer(
        plan=plan,
        effects=found.effects,
        costs={cost.measure.name: _untested(cost) for cost in costs if plan.contrasts},
        parts={part.measure.name: _untested(part) for part in parts if plan.contrasts},
        factorial=found.factorial,
        shapley=shares,
        views=found.views,
        bought=bought(quality, seconds),
        prices=prices(quality, seconds),
        equal=at_equal(curves, runs, speed),
        agreement=agreement(found.effects, quality, of(each for each in known if each.yardstick_of == objective.name)),
        tried=tried(quality, seconds) if plan.search else (),
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
