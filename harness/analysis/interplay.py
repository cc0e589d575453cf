"""How tricks act together: main effects and interactions, Shapley shares, and each trick alone and in company."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from harness.analysis import paired
from harness.analysis.outcomes import Matrix
from harness.analysis.space import Space
from harness.analysis.types import Factorial, Shapley, Share, Term, View

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
                p=paired.t_p(column, space.grain),
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
    aliases: dict[Word, list[Word]] = {}
    for word, column in columns.items():
        same = (first for first in aliases if abs(np.sign(column) @ np.sign(columns[first])) == len(column))
        if (twin := next(same, None)) is None:
            aliases[word] = []
        else:
            aliases[twin].append(word)
    return {word: columns[word] for word in aliases}, aliases


def shapley(space: Space) -> Shapley | None:
    """Each factor's share of the change from all off to all on; None unless some seed has all 2^k cells complete.

    Shapley 1953; a trick's share is its mean contribution over all orders of adding the tricks. Shares are exact per
    seed and averaged over seeds, with t intervals; they add up to the total.
    """
    count = len(space.factors)
    if count < 2 or len(space.cells) < 2**count:
        return None
    table = np.full((2**count, space.values.shape[1]), np.nan)
    for bits, values in zip(space.on @ (1 << np.arange(count)), space.values, strict=True):
        table[int(bits)] = values
    table = table[:, ~np.isnan(table).any(axis=0)]
    if not table.shape[1]:
        return None
    return Shapley(
        shares=tuple(
            Share(factor=factor, level=space.levels[factor], estimate=paired.estimate(_share(table, position, count)))
            for position, factor in enumerate(space.factors)
        ),
        total=paired.estimate(table[-1] - table[0]),
        n=table.shape[1],
        endings=space.endings,
    )


def _share(table: Matrix, player: int, count: int) -> Matrix:
    """The Shapley value of one player per column; row b of `table` is the coalition with the bits of b."""
    others = [position for position in range(count) if position != player]
    share = np.zeros(table.shape[1])
    for size in range(count):
        weight = 1 / (count * math.comb(count - 1, size))
        for coalition in itertools.combinations([1 << position for position in others], size):
            share += weight * (table[sum(coalition) | 1 << player] - table[sum(coalition)])
    return share


def side_by_side(space: Space, shares: Shapley | None) -> tuple[View, ...]:
    """One view per factor that at least two of the three can say something of; not judged.

    `p` is of the paired t test over seeds of the difference between adding the trick to the plain recipe and to all
    the others.
    """
    by_factor = {share.factor: share.estimate for share in shares.shares} if shares else {}
    everything = set(space.factors)
    scale = float(np.max(np.abs(paired.known(space.values)), initial=0.0))
    found = []
    for factor in space.factors if len(space.factors) > 1 else ():
        alone = space.outcomes({factor}) - space.outcomes(set())
        full = space.outcomes(everything) - space.outcomes(everything - {factor})
        plain, whole = (paired.estimate(each) if len(each) else None for each in map(paired.known, (alone, full)))
        share = by_factor.get(factor)
        if [plain, whole, share].count(None) < 2:
            found.append(
                View(
                    factor=factor,
                    level=space.levels[factor],
                    alone=plain,
                    full=whole,
                    share=share,
                    p=paired.t_p(paired.rounded(paired.known(alone - full), scale), space.grain),
                    endings=space.endings,
                )
            )
    return tuple(found)
