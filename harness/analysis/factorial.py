"""Main effects and two-factor interactions by least squares over all runs at once, with seeds as blocks."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from harness.analysis import paired
from harness.analysis.outcomes import Matrix
from harness.analysis.space import Space
from harness.analysis.types import NAN, Factorial, Term, Verdict

Word = tuple[str, ...]


def fitted(space: Space) -> Factorial | None:
    """Least squares on factors and pairs of factors, seed by seed; None without a factorial structure.

    The estimate of a main effect is the change from the baseline to the level, averaged over the settings of the other
    factors; that of an interaction is half of what the effect of either factor changes when the other is on (Box,
    Hunter and Hunter), on the scale of the main effects that it may be confounded with. Both are means over seeds, with
    their t interval over seeds, since what a trick does may differ from seed to seed (the runs of one seed are no
    replicates of that); one seed has neither interval nor p. A term that no run can tell from an earlier one is named
    there as an alias and has no entry of its own. There is no structure where some pair of factors was not run at all
    four combinations, or where the terms that are left depend on one another. Terms are not judged.
    """
    ran = ~np.isnan(space.values)
    if len(space.factors) < 2 or not ran.any() or not _all_four(space.on[ran.any(axis=1)]):
        return None
    columns, aliases = _terms(np.where(space.on, 0.5, -0.5), space.factors)
    design = np.column_stack([np.ones(len(space.cells)), *columns.values()])
    fits, count = [], 0
    for seed in range(space.values.shape[1]):
        rows = ran[:, seed]
        if np.linalg.matrix_rank(design[rows]) == design.shape[1]:
            fits.append(np.linalg.lstsq(design[rows], space.values[rows, seed])[0][1:])
            count += int(rows.sum())
    if not fits:
        return None
    scale = float(np.nanmax(np.abs(space.values)))
    return Factorial(
        levels=space.levels,
        terms=tuple(
            Term(
                factors=word,
                estimate=paired.estimate(column),
                p=paired.t_p(column, space.fixed),
                p_adjusted=NAN,
                verdict=Verdict.UNDECIDED,
                reading="",
                aliases=tuple(aliases[word]),
            )
            for word, column in zip(columns, (paired.rounded(each, scale) for each in np.array(fits).T), strict=True)
        ),
        runs=count,
        seeds=len(fits),
        cells_left_out=space.left_out,
        endings=space.endings,
    )


def _all_four(on: NDArray[np.bool_]) -> bool:
    """Whether every pair of factors was run off-off, off-on, on-off and on-on."""
    return all(
        len({(bool(a), bool(b)) for a, b in on[:, [left, right]]}) == 4
        for left, right in itertools.combinations(range(on.shape[1]), 2)
    )


def _terms(codes: Matrix, factors: tuple[str, ...]) -> tuple[dict[Word, Matrix], dict[Word, list[Word]]]:
    """Columns of the terms that differ, main effects first, and the terms that are equal to each up to sign."""
    columns: dict[Word, Matrix] = {(factor,): codes[:, position] for position, factor in enumerate(factors)}
    for left, right in itertools.combinations(factors, 2):
        columns[left, right] = 2 * columns[left,] * columns[right,]
    kept: dict[Word, Matrix] = {}
    aliases: dict[Word, list[Word]] = {}
    for word, column in columns.items():
        twin = next((other for other, first in kept.items() if _same(column, first)), None)
        if twin is None:
            kept[word] = column
            aliases[word] = []
        else:
            aliases[twin].append(word)
    return kept, aliases


def _same(one: Matrix, other: Matrix) -> bool:
    """Whether two columns are equal up to size and sign."""
    return abs(float(np.sign(one) @ np.sign(other))) == len(one)
