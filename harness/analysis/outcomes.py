"""The run table as matrices [cell, seed]: the one reader of its columns."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.analysis.grain import fixed, step_of
from harness.analysis.types import Endings
from harness.design import Contrast, Plan
from harness.errors import StudyError, nearest
from harness.measures import Kind, Measure, RunState

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]


def settled(runs: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """The run table with complete runs whose objective is not finite as diverged, which is what they are."""
    if runs.empty:
        return pd.DataFrame(columns=["cell", "seed", "state"])
    if plan.objective.name not in runs:
        return runs
    lost = (runs["state"] == RunState.COMPLETE) & ~np.isfinite(column(runs, plan.objective.name))
    return runs.assign(state=runs["state"].mask(lost, RunState.DIVERGED))


def measure(plan: Plan, name: str) -> Measure:
    """The plan's measure called `name`, or a cost. Raises StudyError where there is none."""
    known = {each.name: each for each in (*plan.costs, *plan.measures, plan.objective)}
    if name not in known:
        raise StudyError(f"no run of study '{plan.study}' has a measure '{name}'; {nearest(name, known)}")
    return known[name]


@dataclass(frozen=True)
class Outcomes:
    """A measure where a run may be used, else NaN, and how each run ended, "missing" where there is none."""

    plan: Plan
    measure: Measure
    index: dict[str, int]
    seeds: tuple[int, ...]
    values: Matrix
    states: NDArray[np.object_]
    note: str
    """Which runs were left out of a cost; "" where none were."""

    @classmethod
    def of(cls, runs: pd.DataFrame, plan: Plan, measure: Measure) -> Outcomes:
        """Line up the runs of the plan's cells. Where a cell and seed has several rows, a complete one counts."""
        index = {cell.name: position for position, cell in enumerate(plan.cells)}
        table = runs[runs["cell"].isin(list(index))]
        seeds = sorted({int(seed) for seed in table["seed"]})
        values: Matrix = np.full((len(index), len(seeds)), np.nan)
        states = np.full((len(index), len(seeds)), RunState.MISSING, dtype=object)
        order = {RunState.COMPLETE: 2, RunState.DIVERGED: 1}
        table = table.sort_values("state", key=lambda states: states.map(order).fillna(0), kind="stable")
        rows = table["cell"].map(index).to_numpy(dtype=int)
        columns = np.searchsorted(seeds, table["seed"].to_numpy(dtype=int))
        states[rows, columns] = table["state"].to_numpy(dtype=object)
        numbers = column(table, measure.name)
        complete = (table["state"] == RunState.COMPLETE).to_numpy() & np.isfinite(numbers)
        note = ""
        if measure.kind is Kind.COST:
            alone, unshared = (
                np.nan_to_num(column(table, name, 1.0), nan=1.0) == 1 for name in ("replicates", "slots_per_device")
            )
            shared, of = int(np.sum(complete & ~(alone & unshared))), int(np.sum(complete))
            if shared and unshared[complete].all():
                note = (
                    f"{measure.name}: {shared} of {of} complete runs were trained together with others and are left "
                    "out; measure cost with --replicates 1"
                )
            elif shared:
                note = (
                    f"{measure.name}: {shared} of {of} complete runs shared their device with others and are left "
                    "out; measure cost with one slot per device"
                )
            alone &= unshared
            complete &= alone
        values[rows[complete], columns[complete]] = numbers[complete]
        return cls(plan, measure, index, tuple(seeds), values, states, note)

    @cached_property
    def _planned(self) -> Counter[str]:
        return Counter(run.cell for run in self.plan.runs)

    @cached_property
    def fixed(self) -> bool:
        """Whether outcomes do not vary with the seed."""
        return fixed(self.values)

    @cached_property
    def grain(self) -> float:
        """The step that outcomes come in; 0 where they are fixed, infinite where all are one."""
        return step_of(self.values)

    @property
    def control(self) -> int | None:
        """The row that others are held against; None in a search, whose cells are tried with seeds of their own."""
        return None if self.plan.search else self.index[self.plan.control]

    def rows(self, cells: Iterable[str]) -> NDArray[np.int64]:
        """The rows of cells by name."""
        return np.array([self.index[cell] for cell in cells], dtype=np.int64)

    def sides(self, contrast: Contrast, values: Matrix | None = None) -> tuple[Matrix, Matrix]:
        """[pair, seed] of the treated and of the control runs; of `values` [cell, seed] other than the measure's."""
        treated, control = zip(*contrast.pairs, strict=True)
        values = self.values if values is None else values
        return values[self.rows(treated)], values[self.rows(control)]

    def endings(self, cells: Iterable[str]) -> Endings:
        """How the runs of these cells ended."""
        names = list(dict.fromkeys(cells))
        states = Counter(self.states[self.rows(names)].ravel().tolist())
        return Endings(
            planned=sum(self._planned[name] for name in names),
            complete=states[RunState.COMPLETE],
            diverged=states[RunState.DIVERGED],
            failed=states[RunState.FAILED],
        )


def usable(contrast: Contrast, *matrices: Matrix) -> Mask:
    """[pair, seed]: where every matrix has a value; of a fraction whole seeds alone, since a gap lets others in."""
    known = ~np.isnan(sum(matrices))
    return known if contrast.matched else known & known.all(axis=0)


def seed_means(values: Matrix, use: Mask) -> Matrix:
    """Mean over the pairs in use, per seed that has any."""
    counts = use.sum(axis=0)
    sums = np.where(use, values, 0.0).sum(axis=0)
    return np.asarray(sums[counts > 0] / counts[counts > 0])


def column(table: pd.DataFrame, name: str, default: float = math.nan) -> Matrix:
    """A column of the run table as numbers, `default` where the table has it not, NaN for what is no number."""
    if name not in table:
        return np.full(len(table), default)
    column = pd.to_numeric(table[name], errors="coerce")
    return np.asarray(column.to_numpy(dtype=float, na_value=np.nan))
