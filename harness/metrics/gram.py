"""Products of all pairs of feature rows, made once, block by block, for every metric that looks at them.

In float64 a product is off by a share of 1e-13 of the two lengths at most, so that it decides all but copies and the
nearest of near copies; what it leaves in doubt, a metric computes anew from the rows themselves. In float32, half the
work and no copies of the rows, it leaves more in doubt.
"""

from __future__ import annotations

from typing import Protocol

import torch

from harness.metrics.features import pair_blocks, row_blocks

_SLIGHT = 1e-150  # a row that is no longer counts as zeros: products of shorter ones leave float64's range
# A block with more pairs in doubt than both is sooner done by one centred product than pair by pair.
_MANY = 4096
_SHARE = 1 / 64


class Reader(Protocol):
    """A metric that reads products."""

    def read(self, rows: slice, columns: slice, products: torch.Tensor) -> None:
        """`products` [R, C] of these rows of one side with these of the other; not to be written to."""


def read_pairs(left: torch.Tensor, right: torch.Tensor, *readers: Reader, dtype: torch.dtype = torch.float64) -> None:
    """Show each reader the products of all rows of `left` [M, D] with all of `right` [N, D], columns outside."""
    for columns in pair_blocks(*right.shape):
        transposed = right[columns].to(dtype).T
        for rows in pair_blocks(*left.shape):
            products = left[rows].to(dtype) @ transposed
            for reader in readers:
                reader.read(rows, columns, products)


def read_own_pairs(features: torch.Tensor, *readers: Reader) -> None:
    """Show each reader the products of [N, D] rows with one another, each block of rows with those up to it alone.

    Where `rows` equals `columns` the block is on the diagonal; every other one stands for its mirror image as well.
    """
    for columns in pair_blocks(*features.shape):
        single = features[columns].double()
        for rows in pair_blocks(columns.start, features.shape[1]):
            products = features[rows].double() @ single.T
            for reader in readers:
                reader.read(rows, columns, products)
        products = single @ single.T
        for reader in readers:
            reader.read(columns, columns, products)


def product_error(dim: int, dtype: torch.dtype = torch.float64) -> float:
    """Most that a product of two rows is off, as a share of their lengths.

    The sum of `dim` products is off by at most dim * u * |x| |y| in any order (Higham 2002, "Accuracy and Stability of
    Numerical Algorithms", section 3.1), with u the unit roundoff; the rest is for the few operations after it.
    """
    return (dim + 16) * torch.finfo(dtype).eps / 2


def squared_lengths(features: torch.Tensor) -> torch.Tensor:
    """[N] float64."""
    found = torch.empty(features.shape[0], dtype=torch.float64, device=features.device)
    for rows in row_blocks(*features.shape):
        found[rows] = torch.linalg.vector_norm(features[rows], dim=1, dtype=torch.float64)
    return found.square_().masked_fill_(found < _SLIGHT**2, 0.0)


def squared_distances(left: torch.Tensor, right: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """float64 [P] squared Euclidean distances of [P, 2] pairs (row of `left`, row of `right`)."""
    if len(pairs) > max(_MANY, len(left) * len(right) * _SHARE):  # so many that one product is sooner done
        return _all_squared_distances(left, right)[pairs[:, 0], pairs[:, 1]]
    found = torch.empty(pairs.shape[0], dtype=torch.float64, device=left.device)
    for block in row_blocks(pairs.shape[0], left.shape[1]):
        difference = left[pairs[block, 0]].double().sub_(right[pairs[block, 1]])
        found[block] = torch.linalg.vecdot(difference, difference)
    return found


def _all_squared_distances(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Off by 1e-13 of the squared lengths around the mean of `right`, where pair by pair is exact to rounding."""
    origin = right.mean(dim=0, dtype=torch.float64)
    x, y = left.double() - origin, right.double() - origin
    lengths = x.square().sum(1)[:, None] + y.square().sum(1)
    squared = lengths - 2 * (x @ y.T)
    # What is within rounding of zero is a copy, and a copy is at no distance.
    return squared.masked_fill_(squared < 1e-13 * lengths, 0.0)
