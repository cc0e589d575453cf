"""Main effects and two-factor interactions by least squares over all runs at once, with seeds as blocks."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.analysis import paired
from harness.analysis.space import Space

if TYPE_CHECKING:
    from harness.design import Plan

Matrix = NDArray[np.float64]
_COLUMNS = ("term", "order", "estimate", "low", "high", "p", "p_holm", "n_runs", "aliased_with")


def factorial_effects(runs: pd.DataFrame, plan: Plan, metric: str) -> pd.DataFrame | None:
    """Least squares of `metric` on factors and pairs of factors, seed by seed; None without a factorial structure.

    `estimate` of a main effect (order 1) is the change of the metric from the baseline to the level, averaged over the
    settings of the other factors; that of an interaction (order 2) is how much the effect of either factor changes when
    the other is on: twice what Box, Hunter and Hunter call the interaction. Both are means over seeds, and `low`,
    `high` their 95 % t interval over seeds, since what a trick does may differ from seed to seed (the runs of one seed
    are no replicates of that); one seed has neither interval nor p. `p_holm` adjusts over all terms. A term that no run
    can tell from an earlier one is named there under `aliased_with` and has no row of its own. There is no structure
    where some pair of factors was not run at all four combinations, or where the terms that are left depend on one
    another.
    """
    import statsmodels.api as sm

    space = Space.of(runs, plan, metric)
    ran = ~np.isnan(space.values)
    if len(space.factors) < 2 or not ran.any() or not _all_four(space.on[ran.any(axis=1)]):
        return None
    terms, aliases = _terms(np.where(space.on, 0.5, -0.5), space.factors)
    design = np.column_stack([np.ones(len(space.cells)), *terms.values()])
    fits, count = [], 0
    for seed in range(space.values.shape[1]):
        rows = ran[:, seed]
        if np.linalg.matrix_rank(design[rows]) == design.shape[1]:
            fits.append(sm.OLS(space.values[rows, seed], design[rows]).fit().params[1:])
            count += int(rows.sum())
    if not fits:
        return None
    estimates = np.array(fits)  # [seed, term]
    scale = float(np.nanmax(np.abs(space.values)))
    interval = np.array([paired.t_interval(column) for column in estimates.T])
    p = np.array([paired.t_p(column, paired.spread(column, scale)) for column in estimates.T])
    table = pd.DataFrame(
        {
            "term": list(terms),
            "order": [1 if name in space.factors else 2 for name in terms],
            "estimate": estimates.mean(axis=0),
            "low": interval[:, 0],
            "high": interval[:, 1],
            "p": p,
            "p_holm": paired.holm(p),
            "n_runs": count,
            "aliased_with": [", ".join(aliases[name]) for name in terms],
        },
        columns=list(_COLUMNS),
    )
    left_out = len(plan.cells) - len(space.cells)
    others = f"; {left_out} cells at further levels are left out" if left_out else ""
    levels = ", ".join(f"{factor}={space.levels[factor]}" for factor in space.factors)
    seeds = f"{len(fits)} {'seed' if len(fits) == 1 else 'seeds'}"
    table.attrs["note"] = f"least squares over {count} runs, seed by seed, intervals over {seeds}, {levels}{others}"
    return table


def _all_four(on: NDArray[np.bool_]) -> bool:
    """Whether every pair of factors was run off-off, off-on, on-off and on-on."""
    return all(
        len({(bool(a), bool(b)) for a, b in on[:, [left, right]]}) == 4
        for left, right in itertools.combinations(range(on.shape[1]), 2)
    )


def _terms(codes: Matrix, factors: list[str]) -> tuple[dict[str, Matrix], dict[str, list[str]]]:
    """Columns of the terms that differ, main effects first, and the terms that are equal to each up to sign."""
    columns = {factor: codes[:, position] for position, factor in enumerate(factors)}
    for left, right in itertools.combinations(factors, 2):
        columns[f"{left} x {right}"] = columns[left] * columns[right]
    kept: dict[str, Matrix] = {}
    aliases: dict[str, list[str]] = {}
    for name, column in columns.items():
        scaled = np.sign(column)
        for other, first in kept.items():
            overlap = float(scaled @ np.sign(first))
            if abs(overlap) == len(column):
                aliases[other].append(name if overlap > 0 else f"-{name}")
                break
        else:
            kept[name] = column
            aliases[name] = []
    return kept, aliases
