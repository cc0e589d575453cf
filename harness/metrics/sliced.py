"""Monge Inception Distance: the sliced Wasserstein distance between features, which needs no covariance.

Berthet et al. 2026, arXiv:2605.06797: 3 D times the mean, over random directions of length 1, of the squared
2-Wasserstein distance between both sides' projections, which in one dimension is one between sorted values. By the
factor, moving every row of D features by v counts as about 3 |v|^2, whatever D is. Meant for 1,000 to 5,000 images.

The paper compares equally many images of both sides. Where the numbers differ, the distance here is the exact one
between all of both, and no image is drawn. The directions are the same in every score.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch

from harness.metrics.features import row_blocks

DIRECTIONS = 1000
_SEED = 0
RECORD = f"{DIRECTIONS} directions, RandomState({_SEED})"
"""What the numbers depend on beside the features."""


@cache
def directions(dim: int) -> torch.Tensor:
    """[dim, DIRECTIONS] float64 columns of length 1, evenly spread over the sphere.

    From NumPy's legacy generator, whose stream its developers have frozen for good (NEP 19).
    """
    drawn = np.random.RandomState(_SEED).standard_normal((DIRECTIONS, dim))
    return torch.from_numpy((drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).T.copy())


def monge_distance(real: torch.Tensor, generated: torch.Tensor, projected: torch.Tensor | None = None) -> float:
    """MIND of [N, D] and [M, D] features on one device, a few directions at a time.

    `projected` are the `projections` of the real ones, where they are known: most of the work of few generated ones.
    """
    dim = real.shape[1]
    along = directions(dim).to(real.device)
    apart = []
    # The values along a direction of both sides, their copies while they are sorted, and their differences.
    for block in row_blocks(DIRECTIONS, 4 * (len(real) + len(generated))):
        theirs = _sorted_along(along[:, block], real) if projected is None else projected[block]
        apart.append(squared_wasserstein(theirs, _sorted_along(along[:, block], generated)).sum())
    return 3 * dim * float(torch.stack(apart).sum()) / DIRECTIONS


def projections(features: torch.Tensor) -> torch.Tensor:
    """[DIRECTIONS, N] float64: [N, D] features on every direction, ascending."""
    along = directions(features.shape[1]).to(features.device)
    return torch.cat([_sorted_along(along[:, block], features) for block in row_blocks(DIRECTIONS, 4 * len(features))])


def _sorted_along(along: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """[K, N] float64: [N, D] features on each of [D, K] directions, ascending."""
    found = torch.empty(along.shape[1], len(features), dtype=torch.float64, device=features.device)
    for rows in row_blocks(*features.shape):
        found[:, rows] = (features[rows].double() @ along).T
    return found.sort(dim=1).values


def squared_wasserstein(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """[K] squared 2-Wasserstein distances between the rows of [K, N] and [K, M] ascending values of equal weight each.

    The integral over 0..1 of the squared difference of the quantile functions (Villani 2003, "Topics in Optimal
    Transportation", theorem 2.18), both of which are steps: N of them, and M.
    """
    n, m = left.shape[1], right.shape[1]
    whole = math.lcm(n, m)  # in whole parts of 1 / lcm no rounding moves a step
    ends = torch.from_numpy(np.union1d(np.arange(1, n + 1) * (whole // n), np.arange(1, m + 1) * (whole // m)))
    shares = ends.diff(prepend=ends.new_zeros(1)).to(left.device, left.dtype) / whole
    i, j = ((ends - 1) // (whole // count) for count in (n, m))
    return (left[:, i.to(left.device)] - right[:, j.to(left.device)]).square() @ shares
