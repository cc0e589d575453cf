"""Memorisation distance: how close the nearest real image is to each generated one, in the competition's direction.

The mean over generated images of the minimum over real images of 1 - |cos|; rows of zeros take no part (Kaggle's MiFID,
2019; Bai et al. 2021, arXiv:2106.03062). torchmetrics takes the minimum the other way round and misses copies.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from harness.metrics.features import pair_blocks, row_blocks
from harness.metrics.screening import is_dense, product_error, quickest

_WAITING = 1_000_000  # pairs to be computed anew before they are
_TAME = 1e15  # features between this and its inverse can be multiplied in float32 as they are


@dataclass(frozen=True)
class Memorization:
    """`distance`, its mean; `distances` [M] float64 and `nearest` [M] int64 (NaN and -1 for rows of zeros)."""

    distance: float
    distances: torch.Tensor
    nearest: torch.Tensor


def memorization(generated: torch.Tensor, real: torch.Tensor) -> Memorization:
    """Memorisation distance of [M, D] generated from [N, D] real features.

    Quick products of the unit rows, in bfloat16 where the CPU has it, rule most pairs out by a bound on their rounding,
    float32 ones most of what is left; the rest are computed in float64 as |u - (+-v)|^2 / 2, which
    keeps its relative precision where 1 - cos would cancel. Of equally near real images the first is named. Where every
    row of a side is zeros, no image resembles another and the distance is 1.
    """
    count, dim = generated.shape
    distances = torch.full((count,), torch.inf, dtype=torch.float64, device=generated.device)
    nearest = torch.full((count,), -1, dtype=torch.int64, device=generated.device)
    units = _unit_rows(generated, torch.float32)
    kept = (units != 0).any(dim=1)
    # The most similar so far, less its rounding: what is less similar for sure is not the nearest.
    surest = torch.zeros(count, dtype=torch.float64, device=generated.device).masked_fill_(~kept, torch.inf)
    lengths = torch.empty(real.shape[0], dtype=torch.float64, device=real.device)
    pending: list[tuple[torch.Tensor, torch.Tensor]] = []
    quick = quickest(generated.device)
    quick_units = units.to(quick)
    for columns in pair_blocks(*real.shape):
        block = _unit_rows(real[columns], torch.float32)
        quick_block = block.to(quick)
        lengths[columns] = torch.linalg.vector_norm(real[columns], dim=1, dtype=torch.float64)
        empty = ~(block != 0).any(dim=1)
        for rows in pair_blocks(*generated.shape):
            pairs, most = _possible(quick_units[rows] @ quick_block.T, surest[rows], empty, dim)
            if is_dense(pairs, rows.stop - rows.start, len(block)) and quick != torch.float32:
                pairs, most = _possible(units[rows] @ block.T, surest[rows], empty, dim)
            if is_dense(pairs, rows.stop - rows.start, len(block)):
                precise = _unit_rows(generated[rows], torch.float64) @ _unit_rows(real[columns], torch.float64).T
                pairs, most = _possible(precise, surest[rows], empty, dim)
            pending.append((pairs + pairs.new_tensor([rows.start, columns.start]), most))
        if sum(len(pairs) for pairs, _ in pending) > _WAITING:
            _settle(pending, surest, generated, real, units, lengths, distances, nearest)
    _settle(pending, surest, generated, real, units, lengths, distances, nearest)
    found = nearest >= 0
    distances[~found] = torch.nan
    return Memorization(float(distances[found].mean()) if bool(found.any()) else 1.0, distances, nearest)


def _possible(
    similarity: torch.Tensor, surest: torch.Tensor, empty: torch.Tensor, dim: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The pairs that may be nearest, by their cosines, and the most that each |cosine| can be.

    Raises `surest` in place and may change `similarity`; `empty` real rows take no part.
    """
    error = product_error(dim, similarity.dtype)
    similarity = similarity.abs_() if similarity.dtype != torch.bfloat16 else similarity.float().abs_()
    similarity[:, empty] = -torch.inf
    torch.maximum(surest, similarity.amax(dim=1).double() - error, out=surest)
    floor = (surest - error).to(similarity.dtype)
    # One rounding step lower, so that narrowing the floor loses no pair.
    floor = torch.nextafter(floor, torch.full_like(floor, -torch.inf))
    pairs = (similarity >= floor[:, None]).nonzero()
    return pairs, similarity[pairs[:, 0], pairs[:, 1]].double() + error


def _settle(
    pending: list[tuple[torch.Tensor, torch.Tensor]],
    surest: torch.Tensor,
    generated: torch.Tensor,
    real: torch.Tensor,
    units: torch.Tensor,
    lengths: torch.Tensor,
    distances: torch.Tensor,
    nearest: torch.Tensor,
) -> None:
    """Empties `pending` into `distances` and `nearest`."""
    if not pending:
        return
    pairs = torch.cat([pairs[most >= surest[pairs[:, 0]]] for pairs, most in pending])
    pending.clear()
    pairs = _refined(pairs, surest, units, real, lengths)
    exact = torch.empty(len(pairs), dtype=torch.float64, device=generated.device)
    for block in row_blocks(len(pairs), 2 * generated.shape[1]):
        exact[block] = _distances(_unit(generated[pairs[block, 0]]), _unit(real[pairs[block, 1]]))
    # Real images ascend within a row already, so stable sorts put the first of the nearest first.
    order = exact.sort(stable=True).indices
    order = order[pairs[order, 0].sort(stable=True).indices]
    rows = pairs[order, 0]
    first = torch.ones_like(rows, dtype=torch.bool)
    first[1:] = rows[1:] != rows[:-1]
    chosen = order[first]
    chosen = chosen[exact[chosen] < distances[pairs[chosen, 0]]]
    distances[pairs[chosen, 0]], nearest[pairs[chosen, 0]] = exact[chosen], pairs[chosen, 1]


def _refined(
    pairs: torch.Tensor, surest: torch.Tensor, units: torch.Tensor, real: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """Those of [P, 2] pairs that float32 cannot rule out either. Raises `surest` in place."""
    if not len(pairs) or not 1 / _TAME < float(lengths[pairs[:, 1]].min()) <= float(lengths.max()) < _TAME:
        return pairs
    similarity = torch.empty(len(pairs), dtype=torch.float64, device=real.device)
    for block in row_blocks(len(pairs), real.shape[1]):
        left, right = pairs[block, 0], pairs[block, 1]
        similarity[block] = torch.linalg.vecdot(units[left], real[right].float()).double() / lengths[right]
    similarity.abs_()
    error = product_error(real.shape[1], torch.float32)
    surest.scatter_reduce_(0, pairs[:, 0], similarity - error, "amax")
    return pairs[similarity + error >= surest[pairs[:, 0]]]


def _unit_rows(features: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """[N, D] rows of length 1; rows of zeros stay zeros."""
    unit = torch.empty(features.shape, dtype=dtype, device=features.device)
    for rows in row_blocks(features.shape[0], 4 * features.shape[1]):
        unit[rows] = _unit(features[rows])
    return unit


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
