"""The cells of a plan as points of a two-level space: which factor is on where, and each run's outcome there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.analysis.effects import Outcomes
from harness.spec.factors import Level, label

if TYPE_CHECKING:
    from harness.design import Plan


@dataclass(frozen=True)
class Space:
    """`on` [cell, factor] says which factors are at their level; `values` [cell, seed] hold the metric, NaN where none.

    A factor of several levels takes part with the one that most cells have, and cells at its other levels are left out.
    """

    factors: list[str]
    levels: dict[str, Level]
    cells: list[str]
    on: NDArray[np.bool_]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, runs: pd.DataFrame, plan: Plan, metric: str) -> Space:
        """The space of all factors that are the subject of a contrast."""
        baselines = {contrast.factor: contrast.baseline for contrast in plan.contrasts}
        levels = {factor: _commonest(plan, factor, baseline) for factor, baseline in baselines.items()}
        factors = list(baselines)
        outcomes = Outcomes.of(runs, plan, metric)
        kept = [
            cell
            for cell in plan.cells
            if all(label(cell.levels.get(f)) in (label(baselines[f]), label(levels[f])) for f in factors)
        ]
        on = np.array([[label(cell.levels.get(f)) == label(levels[f]) for f in factors] for cell in kept], dtype=bool)
        return cls(
            factors=factors,
            levels=levels,
            cells=[cell.name for cell in kept],
            on=on.reshape(len(kept), len(factors)),
            values=outcomes.values[[outcomes.index[cell.name] for cell in kept]],
        )

    def position(self, on: set[str]) -> int | None:
        """The cell in which exactly the factors `on` are on; None where there is none."""
        wanted = np.array([factor in on for factor in self.factors])
        found = np.flatnonzero((self.on == wanted).all(axis=1))
        return int(found[0]) if len(found) else None


def _commonest(plan: Plan, factor: str, baseline: Level) -> Level:
    counts: dict[str, int] = {}
    named: dict[str, Level] = {}
    for cell in plan.cells:
        level = cell.levels.get(factor, baseline)
        if label(level) != label(baseline):
            counts[label(level)] = counts.get(label(level), 0) + 1
            named[label(level)] = level
    return named[max(counts, key=lambda text: counts[text])] if counts else baseline
