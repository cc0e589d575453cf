"""Fidelity and diversity from k-nearest-neighbour balls: precision, recall, density and coverage.

Improved precision and recall with k = 3 (Kynkaanniemi et al. 2019, arXiv:1904.06991); density and coverage with k = 5
(Naeem et al. 2020, arXiv:2002.09797). A ball holds its border.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from harness.metrics.features import row_blocks

PRECISION_K = 3
DENSITY_K = 5


@dataclass(frozen=True)
class Manifold:
    """The four shares; density may exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def radii(features: torch.Tensor, ks: tuple[int, ...] = (PRECISION_K, DENSITY_K)) -> torch.Tensor:
    """Squared distances [len(ks), N] float64 from each row to its k-th nearest other row.

    With k or fewer other rows, the farthest of them counts.
    """
    count = features.shape[0]
    found = torch.empty(len(ks), count, dtype=torch.float64, device=features.device)
    most = min(max(ks), count - 1)
    for rows in row_blocks(count, max(features.shape)):
        squared = squared_distances(features[rows], features)
        squared[torch.arange(squared.shape[0]), torch.arange(rows.start, rows.stop)] = torch.inf
        nearest = squared.topk(most, dim=1, largest=False).values
        for position, k in enumerate(ks):
            found[position, rows] = nearest[:, min(k, most) - 1]
    return found


def manifold(real: torch.Tensor, generated: torch.Tensor, real_radii: torch.Tensor | None = None) -> Manifold:
    """Scores of [M, D] generated against [N, D] real features; `real_radii` are `radii(real)`."""
    narrow, wide = radii(real) if real_radii is None else real_radii
    (around,) = radii(generated, (PRECISION_K,))
    count = generated.shape[0]
    precise = dense = 0
    recalled = torch.zeros(real.shape[0], dtype=torch.bool, device=real.device)
    covered = torch.zeros_like(recalled)
    for rows in row_blocks(count, max(real.shape)):
        squared = squared_distances(generated[rows], real)
        precise += int((squared <= narrow).any(dim=1).sum())
        recalled |= (squared <= around[rows, None]).any(dim=0)
        inside = squared <= wide
        dense += int(inside.sum())
        covered |= inside.any(dim=0)
    return Manifold(
        precision=precise / count,
        recall=float(recalled.double().mean()),
        density=dense / (DENSITY_K * count),
        coverage=float(covered.double().mean()),
    )


def squared_distances(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """[len(left), len(right)] squared Euclidean distances in float64, those within rounding of zero exactly zero."""
    x = left.double()
    out = torch.empty(x.shape[0], right.shape[0], dtype=torch.float64, device=left.device)
    for columns in row_blocks(*right.shape):
        y = right[columns].double()
        lengths = x.square().sum(1)[:, None] + y.square().sum(1)
        squared = lengths - 2 * (x @ y.T)
        out[:, columns] = squared.masked_fill_(squared < 1e-13 * lengths, 0.0)
    return out
