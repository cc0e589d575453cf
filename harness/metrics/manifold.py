"""Fidelity and diversity from k-nearest-neighbour balls: precision, recall, density and coverage.

Improved precision and recall with k = 3 (Kynkaanniemi et al. 2019, arXiv:1904.06991); density and coverage with k = 5
(Naeem et al. 2020, arXiv:2002.09797). A ball holds its border.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from harness.metrics.features import pair_blocks
from harness.metrics.screening import Frame, is_dense, least_and_error, squared_distances

PRECISION_K = 3
DENSITY_K = 5
# A distance computed in a product and the same one computed for its pair alone differ by rounding: a copy of a row lies
# on the borders that the row lies on all the same.
_BORDER = 1 + 1e-9


@dataclass(frozen=True)
class Manifold:
    """The four shares; density may exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def radii(features: torch.Tensor, ks: tuple[int, ...] = (PRECISION_K, DENSITY_K)) -> torch.Tensor:
    """Squared distances [len(ks), N] float64 from each row to its k-th nearest other row.

    With k or fewer other rows, the farthest of them counts. float32 products rule most pairs out; the rest are computed
    in float64.
    """
    count, dim = features.shape
    found = torch.empty(len(ks), count, dtype=torch.float64, device=features.device)
    most = min(max(ks), count - 1)
    frame = Frame.around(features)
    for rows in pair_blocks(count, dim):
        nearest = _nearest(features, rows, most, frame)
        for position, k in enumerate(ks):
            found[position, rows] = nearest[:, min(k, most) - 1]
    return found


def _nearest(features: torch.Tensor, rows: slice, most: int, frame: Frame) -> torch.Tensor:
    """Squared distances [len(rows), most] float64 to the nearest other rows, ascending."""
    left = frame.rows(features[rows])
    count = left[0].shape[0]
    # The `most` smallest upper bounds so far: a pair that is farther for sure is none of the nearest.
    bounds = left[1].new_full((count, most), torch.inf)
    nearest = torch.full((count, most), torch.inf, dtype=torch.float64, device=features.device)
    pending: list[tuple[torch.Tensor, torch.Tensor]] = []
    for columns in pair_blocks(*features.shape):
        least, error = least_and_error(left, frame.rows(features[columns]))
        # A row is not its own neighbour; blocks of rows and columns are the same.
        if columns == rows:
            least.fill_diagonal_(torch.inf)
        upper = error.add_(least)
        bounds = _least(torch.cat([bounds, _least(upper, most)], dim=1), most)
        pairs = (least <= bounds[:, -1:]).logical_and_(least < torch.inf).nonzero()
        if is_dense(pairs, *least.shape):
            exact = squared_distances(features[rows], features[columns], pairs)
            nearest = _merge(nearest, pairs[:, 0], exact)
        else:
            pending.append((pairs + pairs.new_tensor([0, columns.start]), least[pairs[:, 0], pairs[:, 1]]))
    for pairs, least in pending:
        pairs = pairs[least <= bounds[pairs[:, 0], -1]]
        nearest = _merge(nearest, pairs[:, 0], squared_distances(features[rows], features, pairs))
    return nearest


def _least(values: torch.Tensor, most: int) -> torch.Tensor:
    return values.topk(min(most, values.shape[1]), dim=1, largest=False).values


def _merge(nearest: torch.Tensor, rows: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The smallest of each row of `nearest` and of the `values` that belong to it, ascending."""
    values, order = values.sort()
    rows, again = rows[order].sort(stable=True)
    values = values[again]
    rank = torch.arange(len(rows), device=rows.device) - torch.searchsorted(rows, rows)
    kept = rank < nearest.shape[1]
    fresh = torch.full_like(nearest, torch.inf)
    fresh[rows[kept], rank[kept]] = values[kept]
    return _least(torch.cat([nearest, fresh], dim=1), nearest.shape[1])


def manifold(real: torch.Tensor, generated: torch.Tensor, real_radii: torch.Tensor | None = None) -> Manifold:
    """Scores of [M, D] generated against [N, D] real features; `real_radii` are `radii(real)`.

    float32 products rule out the pairs that lie in no ball; the others are computed in float64.
    """
    narrow, wide = radii(real) if real_radii is None else real_radii
    (around,) = radii(generated, (PRECISION_K,))
    frame = Frame.around(real, generated)
    precise = torch.zeros(generated.shape[0], dtype=torch.bool, device=real.device)
    recalled = torch.zeros(real.shape[0], dtype=torch.bool, device=real.device)
    covered = torch.zeros_like(recalled)
    dense = 0
    for columns in pair_blocks(*real.shape):
        right, limits = frame.rows(real[columns]), frame.limits(wide[columns])
        for rows in pair_blocks(*generated.shape):
            least, _ = least_and_error(frame.rows(generated[rows]), right)
            inside = least <= frame.limits(around[rows])[:, None]
            pairs = inside.logical_or_(least <= limits).nonzero()
            squared = squared_distances(generated[rows], real[columns], pairs)
            i, j = pairs[:, 0] + rows.start, pairs[:, 1] + columns.start
            precise[i[squared <= narrow[j] * _BORDER]] = True
            recalled[j[squared <= around[i] * _BORDER]] = True
            inner = j[squared <= wide[j] * _BORDER]
            dense += len(inner)
            covered[inner] = True
    return Manifold(
        precision=float(precise.double().mean()),
        recall=float(recalled.double().mean()),
        density=dense / (DENSITY_K * generated.shape[0]),
        coverage=float(covered.double().mean()),
    )
