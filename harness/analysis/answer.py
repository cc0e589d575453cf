"""The answer to a study's question: everything that its runs say, gathered once and tested as one family."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from harness.analysis.agreement import agreement
from harness.analysis.cells import failure_rates, prices, tried
from harness.analysis.course import Course, course
from harness.analysis.effects import bought, measured
from harness.analysis.equal import Curves, at_equal
from harness.analysis.noise import noise
from harness.analysis.notes import notes
from harness.analysis.outcomes import Outcomes, measure, settled
from harness.analysis.types import Answer, Effect
from harness.analysis.verdicts import claims, leaning
from harness.design import Plan
from harness.measures import TRAIN_SECONDS, Measure


def answer(runs: pd.DataFrame, plan: Plan, curves: Curves = {}) -> Answer:  # noqa: B006
    """All that the run table (a row a planned run) and the learning curves say of the study.

    Runs that a sampler picked by their results estimate no effect: a search has no contrasts, and the cells it tried.
    Of a study that runs in waves the answer is that of the runs which its looks have asked for.
    """
    runs, plan, so_far = asked_for(runs, plan)

    def of(measures: Iterable[Measure]) -> list[Outcomes]:
        return [Outcomes.of(runs, plan, each) for each in measures]

    known, objective = [each for each in plan.measures if each.name in runs], plan.objective
    quality, seconds = of((objective, TRAIN_SECONDS))
    costs, speeds = of(plan.costs), of(each for each in known if each.rate_of)
    parts = of(each for each in known if each.part_of == objective.name)
    found = claims(quality, so_far)
    return replace(
        found,
        costs={cost.measure.name: _untested(cost) for cost in costs if plan.contrasts},
        parts={part.measure.name: _untested(part) for part in parts if plan.contrasts},
        bought=bought(quality, seconds),
        prices=prices(quality, seconds),
        equal=at_equal(curves, runs, speeds[0]) if speeds else (),
        agreement=agreement(found.effects, quality, of(each for each in known if each.yardstick_of == objective.name)),
        tried=tried(quality, seconds) if plan.search else (),
        failures=failure_rates(quality),
        notes=notes(quality, seconds, so_far.frozen.values() if so_far else ()),
        course=so_far,
        noise=noise(quality, runs),
    )


def asked_for(runs: pd.DataFrame, plan: Plan) -> tuple[pd.DataFrame, Plan, Course | None]:
    """Run table and plan with the runs that the looks of a study in waves have asked for, and its course.

    Of a plan of fixed size all of its runs, and no course.
    """
    runs = settled(runs, plan)
    if plan.waves is None:
        return runs, plan, None
    so_far = course(runs, plan)
    plan = replace(plan, runs=so_far.asked)
    return rows_of(runs, plan), plan, so_far


def rows_of(runs: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """The rows of a run table that are of the plan's runs."""
    asked = {(run.cell, run.seed) for run in plan.runs}
    return runs[[pair in asked for pair in zip(runs["cell"], runs["seed"], strict=True)]].reset_index(drop=True)


def effects(runs: pd.DataFrame, plan: Plan, metric: str) -> tuple[Effect, ...]:
    """What each contrast of the plan changes in a measure, in the plan's order.

    On the objective with the verdicts of the whole report; other measures are not tested. Raises StudyError where the
    plan has no such measure.
    """
    runs, plan, so_far = asked_for(runs, plan)
    outcomes = Outcomes.of(runs, plan, measure(plan, metric))
    return claims(outcomes, so_far).effects if metric == plan.objective.name else _untested(outcomes)


def _untested(outcomes: Outcomes) -> tuple[Effect, ...]:
    return tuple(map(leaning, measured(outcomes)))
