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
    fixed: bool

    @classmethod
    def of(cls, outcomes: Outcomes) -> Space:
        """The space of all factors that are the subject of a contrast."""
        plan = outcomes.plan
        baselines = {contrast.factor: contrast.baseline for contrast in plan.contrasts}
        levels = {factor: _commonest(plan, factor, baseline) for factor, baseline in baselines.items()}
        kept = [
            cell
            for cell in plan.cells
            if all(label(cell.levels.get(f)) in (label(baselines[f]), label(levels[f])) for f in baselines)
        ]
        names = tuple(cell.name for cell in kept)
        on = np.array([[label(cell.levels.get(f)) == label(levels[f]) for f in baselines] for cell in kept], dtype=bool)
        return cls(
            factors=tuple(baselines),
            levels=levels,
            cells=names,
            on=on.reshape(len(kept), len(baselines)),
            values=outcomes.values[outcomes.rows(names)],
            endings=outcomes.endings(names),
            left_out=len(plan.cells) - len(kept),
            fixed=outcomes.fixed,
        )

    def position(self, on: set[str]) -> int | None:
        """The cell in which exactly the factors `on` are on; None where there is none."""
        wanted = np.array([factor in on for factor in self.factors])
        found = np.flatnonzero((self.on == wanted).all(axis=1))
        return int(found[0]) if len(found) else None


def _commonest(plan: Plan, factor: str, baseline: Level) -> Level:
    levels = [cell.levels.get(factor, baseline) for cell in plan.cells]
    named = {label(level): level for level in levels if label(level) != label(baseline)}
    counts = Counter(label(level) for level in levels if label(level) in named)
    return named[counts.most_common(1)[0][0]] if counts else baseline
