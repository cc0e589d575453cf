"""What a design can show before any of it is run: the smallest effect, what a trick that does nothing ends as, runs.

All cells are taken to vary alike from seed to seed, by independent normal noise. A contrast is a weighted sum of cells,
whose weights w add up to 0: from one seed it has the variance spread^2 (1 - r) sum w^2, r being the correlation of two
cells of one seed. That is 2 of one pair of cells, and 4 / R of a factorial of R cells, so that of k tricks at as many
runs in all a factorial's main effects have 2 / (k + 1) of the variance of one-at-a-time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.analysis.course import rule_of
from harness.analysis.interplay import fitted, shapley, side_by_side
from harness.analysis.outcomes import Outcomes
from harness.analysis.paired import ALPHA, Vector
from harness.analysis.prospects import smallest, smallest_in_looks, within
from harness.analysis.sequential import looks
from harness.analysis.space import Space
from harness.analysis.types import NAN, Verdict
from harness.design import Plan
from harness.measures import RunState
from harness.spec import label

_STUDIES = 200
_TIE = 0.9  # a design must show effects this much smaller than the spec's own to be recommended instead


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The standard deviation over seeds of one cell's runs: as a share of the control's mean, in the unit, or both.

    `correlation` is that of two cells of one seed, 0 where nobody knows. `source` says in words where it is from.
    """

    share: float = NAN
    amount: float = NAN
    correlation: float = 0.0
    source: str = ""

    def worth(self, plan: Plan) -> float:
        """The plan's worth in standard deviations; NaN where they cannot be held against each other."""
        share, amount = plan.worth.share, plan.worth.amount
        return share / self.share if share is not None else (amount or NAN) / self.amount


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """What a plan can show. Sizes are in standard deviations of the runs of one cell over seeds.

    `smallest` is the effect that each contrast shows with 80 % power, at the least; `negligible` the chance that a
    trick which does nothing ends as negligible, NaN where the spread or the worth is unknown. `runs` are expected where
    no trick does anything, by cell in `by_cell`; `most` are the most. `aliased`: main effects may be those of others.
    """

    plan: Plan
    seeds: int
    smallest: float
    negligible: float
    by_cell: Mapping[str, float]

    @property
    def runs(self) -> float:
        return math.fsum(self.by_cell.values())

    @property
    def most(self) -> int:
        return len(self.plan.runs)

    @property
    def aliased(self) -> bool:
        return any(contrast.aliases for contrast in self.plan.contrasts)


def prospect(plan: Plan, spread: Spread | None = None) -> Prospect:
    """What the plan can show at a spread. Waves are simulated by 200 studies of a fixed generator.

    The plan has runs of all seeds to be looked ahead to, also where it declares no maximum.
    """
    spread = spread or Spread()
    seeds = len({run.seed for run in plan.runs})
    alike = math.sqrt(1 - min(spread.correlation, 0.99))
    worth = spread.worth(plan)
    weights = _weights(plan)
    deviations = alike * np.sqrt((weights**2).sum(axis=1))
    if plan.waves is None:
        size = smallest(seeds, family(plan), plan.test)
        each, count = np.unique(worth / deviations, return_counts=True)
        shares = [within(margin, seeds, ALPHA / len(weights), plan.test) for margin in each.tolist()]
        negligible = float(np.average(shares, weights=count)) if math.isfinite(worth) else NAN
        by_cell = {cell.name: float(seeds) for cell in plan.cells}
    else:
        size = smallest_in_looks(rule_of(plan.waves, plan.test), seeds, len(weights))
        negligible, by_cell = _in_waves(plan, weights, worth / alike, seeds)
    return Prospect(
        plan=plan, seeds=seeds, smallest=float(size * deviations.max()), negligible=negligible, by_cell=by_cell
    )


def recommended(prospects: Sequence[Prospect]) -> Prospect:
    """The first, which is the spec's own, unless another shows effects that are clearly smaller, of all its levels."""
    own = prospects[0]
    asked = _levels(own.plan)
    others = [each for each in prospects if _levels(each.plan) >= asked and not each.aliased]
    best = min(others or [own], key=lambda each: each.smallest)
    return best if own.aliased or best.smallest < _TIE * own.smallest else own


def missing(own: Prospect, other: Prospect) -> list[str]:
    """The levels that a design compares and the other does not: `width at wide`."""
    there = _levels(other.plan)
    return [f"{factor} at {level}" for factor, level in sorted(_levels(own.plan) - there)]


def family(plan: Plan) -> int:
    """How many tests a report corrects for: contrasts, and clear interactions or whether company changes a trick."""
    rows = np.random.default_rng(0).normal(size=len(plan.cells))
    names = [cell.name for cell in plan.cells]
    table = pd.DataFrame({"cell": names, "seed": 0, "state": RunState.COMPLETE, plan.objective.name: rows})
    space = Space.of(Outcomes.of(table, plan, plan.objective))
    if (factorial := fitted(space)) is not None:
        further = sum(len(term.factors) == 2 and not term.aliases for term in factorial.terms)
    else:
        views = side_by_side(space, shapley(space))
        further = sum(view.alone is not None and view.full is not None for view in views)
    return len(plan.contrasts) + further


def _levels(plan: Plan) -> set[tuple[str, str]]:
    return {(contrast.factor, label(contrast.level)) for contrast in plan.contrasts}


def _weights(plan: Plan) -> Vector:
    """[contrast, cell]: of what sum of cells each contrast is."""
    place = {cell.name: position for position, cell in enumerate(plan.cells)}
    found = np.zeros((len(plan.contrasts), len(place)))
    for row, contrast in zip(found, plan.contrasts, strict=True):
        for treated, control in contrast.pairs:
            row[place[treated]] += 1 / len(contrast.pairs)
            row[place[control]] -= 1 / len(contrast.pairs)
    return found


def _in_waves(plan: Plan, weights: Vector, worth: float, seeds: int) -> tuple[float, dict[str, float]]:
    """The share of tricks that do nothing and end as negligible, and the runs of each cell, on average over studies.

    That factorials keep a decided factor at one level, and so run fewer cells from then on, is not counted.
    """
    assert plan.waves is not None
    rule, generator = rule_of(plan.waves, plan.test), np.random.default_rng(13)
    margins = [np.full(seeds, worth)] * len(weights) if math.isfinite(worth) else None
    compared = weights != 0
    said, runs = 0, np.zeros(len(plan.cells))
    for _ in range(_STUDIES):
        found = looks(list(weights @ generator.standard_normal((len(plan.cells), seeds))), margins, rule)
        said += sum(verdict is Verdict.NEGLIGIBLE for verdict in found[-1].verdicts)
        runs += found[0].wave * compared.any(axis=0)
        for look in found[:-1]:
            runs += compared[list(look.going_on)].any(axis=0)
    share = said / _STUDIES / len(weights) if margins else NAN
    return share, {cell.name: float(count) / _STUDIES for cell, count in zip(plan.cells, runs, strict=True)}
