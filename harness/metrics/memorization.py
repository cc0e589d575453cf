"""Memorisation distance: how close the nearest real image is to each generated one, in the competition's direction.

The mean over generated images of the minimum over real images of 1 - |cos|; rows of zeros take no part (Kaggle's MiFID,
2019; Bai et al. 2021, arXiv:2106.03062). torchmetrics takes the minimum the other way round and misses copies.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from harness.metrics.features import row_blocks

_CANDIDATES = 8


@dataclass(frozen=True)
class Memorization:
    """`distance`, its mean; `distances` [M] float64 and `nearest` [M] int64 (NaN and -1 for rows of zeros)."""

    distance: float
    distances: torch.Tensor
    nearest: torch.Tensor


def unit_rows(features: torch.Tensor) -> torch.Tensor:
    """[N, D] float32 rows of length 1; rows of zeros stay zeros."""
    unit = torch.empty(features.shape, dtype=torch.float32, device=features.device)
    for rows in row_blocks(*features.shape):
        unit[rows] = _unit(features[rows]).float()
    return unit


def memorization(generated: torch.Tensor, real: torch.Tensor, real_unit: torch.Tensor | None = None) -> Memorization:
    """Memorisation distance of [M, D] generated from [N, D] real features; `real_unit` are `unit_rows(real)`.

    One float32 matrix product screens the pairs; the best of each row are then recomputed in float64 as
    |u - (+-v)|^2 / 2, which keeps its relative precision where 1 - cos would cancel. Rows in which float32 cannot
    tell the candidates from the rest are compared with all real rows in float64. Where every row of a side is zeros,
    no image resembles another and the distance is 1.
    """
    real_unit = unit_rows(real) if real_unit is None else real_unit
    count = generated.shape[0]
    distances = torch.full((count,), torch.nan, dtype=torch.float64, device=generated.device)
    nearest = torch.full((count,), -1, dtype=torch.int64, device=generated.device)
    kept = (generated != 0).any(dim=1).nonzero().flatten()
    usable = (real_unit != 0).any(dim=1)
    if kept.numel() == 0 or not bool(usable.any()):
        return Memorization(1.0, distances, nearest)
    candidates = min(_CANDIDATES, real.shape[0])
    # Worst rounding of a float32 dot product of unit rows, of which the rows' own rounding is a part.
    slack = 4e-7 * max(1.0, real.shape[1] ** 0.5 / 8)
    for block in row_blocks(kept.numel(), max(real.shape[0], real.shape[1] * (candidates + 1))):
        rows = kept[block]
        unit = _unit(generated[rows])
        similarity = (unit.float() @ real_unit.T).abs_()
        similarity[:, ~usable] = -1.0
        best, index = similarity.topk(candidates, dim=1)
        index = index.sort(dim=1).values  # so that the first of equals is the lowest index
        exact = _distances(unit[:, None, :], _unit(real[index]))
        exact = exact.masked_fill(~usable[index], torch.inf)
        closest, place = exact.min(dim=1)
        distances[rows] = closest
        nearest[rows] = index.gather(1, place[:, None]).squeeze(1)
        if candidates < real.shape[0]:
            unsure = (best[:, 0] - best[:, -1] < 2 * slack).nonzero().flatten()
            for row in unsure.tolist():
                value, winner = _nearest_of_all(unit[row], real, similarity[row] >= best[row, 0] - 2 * slack)
                distances[rows[row]], nearest[rows[row]] = value, winner
    return Memorization(float(distances[kept].mean()), distances, nearest)


def _unit(features: torch.Tensor) -> torch.Tensor:
    rows = features.double()
    # Scaled first: the square of a very small or large number would leave the range.
    rows = rows / rows.abs().amax(dim=-1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    return torch.nn.functional.normalize(rows, dim=-1)


def _distances(generated: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """1 - |cos| of float64 unit rows along the last axis."""
    near = (generated - real).square().sum(dim=-1)
    far = (generated + real).square().sum(dim=-1)
    return torch.minimum(near, far) / 2


def _nearest_of_all(unit: torch.Tensor, real: torch.Tensor, possible: torch.Tensor) -> tuple[torch.Tensor, int]:
    index = possible.nonzero().flatten()
    distance = torch.cat(
        [_distances(unit, _unit(real[index[block]])) for block in row_blocks(index.numel(), real.shape[1])]
    )
    place = int(distance.argmin())
    return distance[place], int(index[place])
