"""Main effects and two-factor interactions by least squares over all runs at once, with seeds as blocks."""

from __future__ import annotations

import itertools
import math
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
    """Ordinary least squares of `metric` on seeds, factors and pairs of factors; None without a factorial structure.

    `estimate` of a main effect (order 1) is the change of the metric from the baseline to the level, averaged over the
    settings of the other factors; that of an interaction (order 2) is how much the effect of either factor changes
    when the other is on: twice what Box, Hunter and Hunter call the interaction. `low`, `high` is the 95 % interval,
    `p_holm` adjusts over all terms. A term that no run can tell from an earlier one is named there under `aliased_with`
    and has no row of its own. There is no structure where some pair of factors was not run at all four combinations,
    or where the terms that are left depend on one another.
    """
    import statsmodels.api as sm

    space = Space.of(runs, plan, metric)
    cell, seed = np.nonzero(~np.isnan(space.values))
    if len(space.factors) < 2 or not len(cell) or not _all_four(space.on[np.unique(cell)]):
        return None
    codes = np.where(space.on[cell], 0.5, -0.5)
    terms, aliases = _terms(codes, space.factors)
    blocks = np.eye(space.values.shape[1])[:, np.unique(seed)][seed]
    design = np.column_stack([blocks, *terms.values()])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    fit = sm.OLS(space.values[cell, seed], design).fit()
    skip = blocks.shape[1]
    free = int(fit.df_resid) > 0
    interval = fit.conf_int(alpha=paired.ALPHA)[skip:] if free else np.full((len(terms), 2), math.nan)
    p = np.asarray(fit.pvalues[skip:]) if free else np.full(len(terms), math.nan)
    table = pd.DataFrame(
        {
            "term": list(terms),
            "order": [1 + name.count(" x ") for name in terms],
            "estimate": fit.params[skip:],
            "low": interval[:, 0],
            "high": interval[:, 1],
            "p": p,
            "p_holm": paired.holm(p),
            "n_runs": len(cell),
            "aliased_with": [", ".join(aliases[name]) for name in terms],
        },
        columns=list(_COLUMNS),
    )
    left_out = len(plan.cells) - len(space.cells)
    others = f"; {left_out} cells at further levels are left out" if left_out else ""
    levels = ", ".join(f"{factor}={space.levels[factor]}" for factor in space.factors)
    table.attrs["note"] = f"least squares over {len(cell)} runs, seeds as blocks, {levels}{others}"
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
