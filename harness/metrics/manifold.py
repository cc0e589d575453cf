"""Fidelity and diversity from k-nearest-neighbour balls: precision, recall, density and coverage.

Improved precision and recall with k = 3 (Kynkaanniemi et al. 2019, arXiv:1904.06991); density and coverage with k = 5
(Naeem et al. 2020, arXiv:2002.09797). A ball holds its border.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from harness.metrics.features import pair_blocks
from harness.metrics.gram import (
    product_error,
    read_own_pairs,
    read_pairs,
    squared_distances,
    squared_lengths,
)

PRECISION_K = 3
DENSITY_K = 5
# A distance computed in a product and the same one computed for its pair alone differ by rounding: a copy of a row lies
# on the borders that the row lies on all the same.
_BORDER = 1 + 1e-9
_PRECISE = 2e-10  # a distance from a product that may be off by a larger share is computed anew


@dataclass(frozen=True)
class Manifold:
    """The four shares; density may exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float


class NearestOthers:
    """Reads products of [N, D] rows with one another, and finds how far the nearest other rows are from each."""

    def __init__(self, features: torch.Tensor, ks: tuple[int, ...]) -> None:
        self._features = features
        # With k or fewer other rows, the farthest of them counts.
        self._ks = [min(k, len(features) - 1) for k in ks]
        self._squares = squared_lengths(features)
        self._nearest = self._squares.new_full((len(features), max(self._ks)), torch.inf)

    def read(self, rows: slice, columns: slice, products: torch.Tensor) -> None:
        squared = torch.add(self._squares[rows, None], self._squares[columns]).sub_(products, alpha=2)
        if rows == columns:
            squared.fill_diagonal_(torch.inf)  # a row is not its own neighbour
        else:
            self._merge(columns, squared.T)
        self._merge(rows, squared)

    def _merge(self, rows: slice, squared: torch.Tensor) -> None:
        most = self._nearest.shape[1]
        least = _least(squared, min(most, squared.shape[1]))
        self._nearest[rows] = _least(torch.cat([self._nearest[rows], least], dim=1), most)

    def radii(self) -> torch.Tensor:
        """Squared distances [len(ks), N] float64 from each row to its k-th nearest other row."""
        found = self._nearest.T[[k - 1 for k in self._ks]].clamp_(min=0)
        # A row as near has at most twice the squared length and twice the distance.
        error = 8 * product_error(self._features.shape[1]) * (self._squares + found)
        doubted = (error > _PRECISE * found).any(dim=0).nonzero()[:, 0]
        for some in pair_blocks(len(doubted), self._features.shape[1]):
            found[:, doubted[some]] = self._anew(doubted[some])
        return found

    def _anew(self, rows: torch.Tensor) -> torch.Tensor:
        """The radii [len(ks), R] of these rows, from the pairs themselves where products leave them in doubt."""
        features, squares = self._features, self._squares
        slack = 2 * product_error(features.shape[1])
        farthest = self._nearest[rows, -1]
        bound = farthest + 4 * slack * (squares[rows] + farthest)
        nearest = torch.full_like(self._nearest[rows], torch.inf)
        left = features[rows]
        for columns in pair_blocks(*features.shape):
            right = features[columns]
            lengths = squares[rows, None] + squares[columns]
            others = rows[:, None] != torch.arange(columns.start, columns.stop, device=rows.device)
            squared = lengths - 2 * (left.double() @ right.double().T)
            pairs = (squared - slack * lengths <= bound[:, None]).logical_and_(others).nonzero()
            exact = squared.fill_(torch.inf)
            exact[pairs[:, 0], pairs[:, 1]] = squared_distances(left, right, pairs)
            nearest = _least(torch.cat([nearest, exact], dim=1), nearest.shape[1])
        return nearest.T[[k - 1 for k in self._ks]]


class Balls:
    """Reads products of [M, D] generated rows with [N, D] real ones, and finds which lie in whose balls."""

    def __init__(
        self, generated: torch.Tensor, real: torch.Tensor, generated_radii: torch.Tensor, real_radii: torch.Tensor
    ) -> None:
        self._sides = generated, real
        self._squares = squared_lengths(generated), squared_lengths(real)
        (self._around,) = generated_radii * _BORDER
        self._narrow, self._wide = real_radii * _BORDER
        self._error = 2 * product_error(real.shape[1])
        self._precise = torch.zeros(len(generated), dtype=torch.bool, device=real.device)
        self._recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
        self._covered = torch.zeros_like(self._recalled)
        self._dense = 0

    def read(self, rows: slice, columns: slice, products: torch.Tensor) -> None:
        left, right = self._squares[0][rows], self._squares[1][columns]
        sure = 1 - self._error
        least = torch.add(sure * left[:, None], sure * right).sub_(products, alpha=2)
        inside = least <= self._around[rows, None]
        i, j = inside.logical_or_(least <= self._wide[columns]).nonzero().unbind(1)
        error = self._error * (left[i] + right[j])
        squared = least[i, j] + error
        doubted = (error > _PRECISE * squared).nonzero()[:, 0]
        if len(doubted):
            pairs = torch.stack([i[doubted], j[doubted]], dim=1)
            squared[doubted] = squared_distances(self._sides[0][rows], self._sides[1][columns], pairs)
        i, j = i + rows.start, j + columns.start
        self._precise[i[squared <= self._narrow[j]]] = True
        self._recalled[j[squared <= self._around[i]]] = True
        inner = j[squared <= self._wide[j]]
        self._dense += len(inner)
        self._covered[inner] = True

    def found(self) -> Manifold:
        """The shares of all that was read."""
        return Manifold(
            precision=float(self._precise.double().mean()),
            recall=float(self._recalled.double().mean()),
            density=self._dense / (DENSITY_K * len(self._precise)),
            coverage=float(self._covered.double().mean()),
        )


def radii(features: torch.Tensor, ks: tuple[int, ...] = (PRECISION_K, DENSITY_K)) -> torch.Tensor:
    """Squared distances [len(ks), N] float64 from each row to its k-th nearest other row, or the farthest of fewer."""
    search = NearestOthers(features, ks)
    read_own_pairs(features, search)
    return search.radii()


def manifold(real: torch.Tensor, generated: torch.Tensor) -> Manifold:
    """Scores of [M, D] generated against [N, D] real features."""
    balls = Balls(generated, real, radii(generated, (PRECISION_K,)), radii(real))
    read_pairs(generated, real, balls)
    return balls.found()


def _least(values: torch.Tensor, most: int) -> torch.Tensor:
    return values.topk(most, dim=1, largest=False).values
