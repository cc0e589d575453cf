"""The cells of a plan as points of a two-level space: which factor is on where, and each run's outcome there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.analysis.outcomes import Matrix, Outcomes
from harness.analysis.types import Endings
from harness.design import Plan
from harness.spec import Level, label


@dataclass(frozen=True)
class Space:
    """`on` [cell, factor] says which factors are at their level; `values` [cell, seed] hold the measure or NaN.

    Its factors are the subjects of contrasts. A factor of several levels takes part with the one that most cells have,
    and cells at its other levels are left out.
    """

    factors: tuple[str, ...]
    levels: dict[str, Level]
    cells: tuple[str, ...]
    on: NDArray[np.bool_]
    values: Matrix
    endings: Endings
    left_out: int
    grain: float

    @classmethod
    def of(cls, outcomes: Outcomes) -> Space:
        """The space of all factors that are the subject of a contrast."""
        plan = outcomes.plan
        baselines = {contrast.factor: contrast.baseline for contrast in plan.contrasts}
        levels = {factor: _commonest(plan, factor, baseline) for factor, baseline in baselines.items()}
        shape = len(plan.cells), len(baselines)
        named = np.array([label(cell.levels.get(factor)) for cell in plan.cells for factor in baselines]).reshape(shape)
        on = named == list(map(label, levels.values()))
        kept = (on | (named == list(map(label, baselines.values())))).all(axis=1)
        names = tuple(cell.name for cell, keep in zip(plan.cells, kept, strict=True) if keep)
        return cls(
            factors=tuple(baselines),
            levels=levels,
            cells=names,
            on=on[kept],
            values=outcomes.values[kept],
            endings=outcomes.endings(names),
            left_out=len(plan.cells) - len(names),
            grain=outcomes.grain,
        )

    def outcomes(self, on: set[str]) -> Matrix:
        """[seed] of the cell in which exactly the factors `on` are on; NaN where there is none."""
        rows = self.values[(self.on == [factor in on for factor in self.factors]).all(axis=1)]
        return rows[0] if len(rows) else np.full(self.values.shape[1], np.nan)


def _commonest(plan: Plan, factor: str, baseline: Level) -> Level:
    levels = [cell.levels.get(factor, baseline) for cell in plan.cells]
    named, counts = {label(level): level for level in levels}, Counter(map(label, levels))
    del counts[label(baseline)]
    return named[counts.most_common(1)[0][0]] if counts else baseline
