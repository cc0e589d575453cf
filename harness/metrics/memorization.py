"""Memorisation distance: how close the nearest real image is to each generated one, in the competition's direction.

The mean over generated images of the minimum over real images of 1 - |cos|; rows of zeros take no part (Kaggle's MiFID,
2019; Bai et al. 2021, arXiv:2106.03062). torchmetrics takes the minimum the other way round and misses copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch

from harness.metrics.directions import CACHED, TAME, Directions, lengths_of, unit, unit_rows
from harness.metrics.features import pair_blocks, row_blocks
from harness.metrics.screening import is_dense, product_error, quickest, rounded_cosines

_WAITING = 1_000_000  # pairs to be computed anew before they are


@dataclass(frozen=True)
class Memorization:
    """`distance`, its mean; `distances` [M] float64 and `nearest` [M] int64 (NaN and -1 for rows of zeros)."""

    distance: float
    distances: torch.Tensor
    nearest: torch.Tensor


def memorization(
    generated: torch.Tensor, real: torch.Tensor, real_directions: Directions | None = None
) -> Memorization:
    """Memorisation distance of [M, D] generated from [N, D] real features; `real_directions` where they are at hand.

    Quick products of the unit rows, in bfloat16 where the CPU has it, rule most pairs out by a bound on their rounding,
    float32 ones most of what is left; the rest are computed in float64 as |u - (+-v)|^2 / 2, which keeps its relative
    precision where 1 - cos would cancel. Of equally near real images the first is named. Where every row of a side is
    zeros, no image resembles another and the distance is 1.
    """
    count = generated.shape[0]
    distances = torch.full((count,), torch.inf, dtype=torch.float64, device=generated.device)
    nearest = torch.full((count,), -1, dtype=torch.int64, device=generated.device)
    lengths = lengths_of(generated)
    real_lengths = lengths_of(real) if real_directions is None else real_directions.lengths
    # The most similar so far, less its rounding: what is less similar for sure is not the nearest.
    surest = torch.zeros(count, dtype=torch.float64, device=generated.device).masked_fill_(lengths == 0, torch.inf)
    pending: list[tuple[torch.Tensor, torch.Tensor]] = []
    quick = Directions.of(generated, lengths) if quickest(generated.device) == torch.bfloat16 else None
    for columns in pair_blocks(*real.shape):
        block = _Block(real[columns], real_lengths[columns], real_directions and real_directions[columns])
        for rows in pair_blocks(*generated.shape):
            for cosines, error in _cosines(generated[rows], block, quick and quick[rows]):
                pairs, most = _possible(cosines, error, surest[rows], block.empty)
                if not is_dense(pairs, *cosines.shape):
                    break
            pending.append((pairs + pairs.new_tensor([rows.start, columns.start]), most))
            if sum(len(pairs) for pairs, _ in pending) > _WAITING:
                _settle(pending, surest, generated, real, lengths, real_lengths, distances, nearest)
    _settle(pending, surest, generated, real, lengths, real_lengths, distances, nearest)
    found = nearest >= 0
    distances[~found] = torch.nan
    return Memorization(float(distances[found].mean()) if bool(found.any()) else 1.0, distances, nearest)


@dataclass(frozen=True)
class _Block:
    """Some real rows, with what is worked out of them where it is used."""

    rows: torch.Tensor
    lengths: torch.Tensor
    known: Directions | None

    @cached_property
    def empty(self) -> torch.Tensor | None:
        """Which rows are zeros; None where none is."""
        empty = self.lengths == 0
        return empty if bool(empty.any()) else None

    @cached_property
    def directions(self) -> Directions:
        return self.known or Directions.of(self.rows, self.lengths)

    @cached_property
    def single(self) -> torch.Tensor:
        return unit_rows(self.rows, torch.float32)


def _cosines(
    generated: torch.Tensor, real: _Block, quick: Directions | None
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """|cosines| [M, N] and the most [M] that those of a row are off, each time more precise than before.

    `quick` are the directions of the generated rows, None where bfloat16 is not quicker.
    """
    if quick is not None:
        yield rounded_cosines((quick.rows, quick.taken), (real.directions.rows, real.directions.taken))
    for precision in (torch.float32, torch.float64):
        right = real.single if precision == torch.float32 else unit_rows(real.rows, precision)
        cosines = (unit_rows(generated, precision) @ right.T).abs_()
        error = product_error(generated.shape[1], precision)
        yield cosines, torch.full((len(generated),), error, dtype=torch.float64, device=generated.device)


def _possible(
    cosines: torch.Tensor, error: torch.Tensor, surest: torch.Tensor, empty: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The pairs that may be nearest, and the most that each |cosine| can be.

    Raises `surest` in place; `empty` real rows take no part.
    """
    if empty is not None:
        cosines[:, empty] = -torch.inf
    best = cosines.amax(dim=1).double().clamp_(max=1)
    torch.maximum(surest, best - error, out=surest)
    floor = surest - error
    # After the first blocks few rows have a pair left that may be nearest.
    rows = (best >= floor).nonzero()[:, 0]
    if len(rows) < len(best) / 2:
        cosines, floor = cosines[rows], floor[rows]
    else:
        rows = torch.arange(len(best), device=best.device)
    low = floor.to(cosines.dtype)
    # The next number below where narrowing raised the floor, so that no pair is lost.
    low = torch.where(low.double() > floor, torch.nextafter(low, torch.full_like(low, -torch.inf)), low)
    pairs = (cosines >= low[:, None]).nonzero()
    most = cosines[pairs[:, 0], pairs[:, 1]].double().clamp_(max=1)
    pairs[:, 0] = rows[pairs[:, 0]]
    return pairs, most + error[pairs[:, 0]]


def _settle(
    pending: list[tuple[torch.Tensor, torch.Tensor]],
    surest: torch.Tensor,
    generated: torch.Tensor,
    real: torch.Tensor,
    lengths: torch.Tensor,
    real_lengths: torch.Tensor,
    distances: torch.Tensor,
    nearest: torch.Tensor,
) -> None:
    """Empties `pending` into `distances` and `nearest`."""
    if not pending:
        return
    pairs, most = (torch.cat(parts) for parts in zip(*pending, strict=True))
    pending.clear()
    # The likeliest of each row first: once its similarity is known, few others may still be nearer.
    likeliest = torch.zeros_like(surest).scatter_reduce_(0, pairs[:, 0], most, "amax")
    _refined(pairs[most == likeliest[pairs[:, 0]]], surest, generated, real, lengths, real_lengths)
    pairs = pairs[most >= surest[pairs[:, 0]]]
    pairs = _refined(pairs, surest, generated, real, lengths, real_lengths)
    exact = torch.empty(len(pairs), dtype=torch.float64, device=generated.device)
    for block in row_blocks(len(pairs), CACHED * generated.shape[1]):
        exact[block] = _distances(unit(generated[pairs[block, 0]]), unit(real[pairs[block, 1]]))
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
    pairs: torch.Tensor,
    surest: torch.Tensor,
    generated: torch.Tensor,
    real: torch.Tensor,
    lengths: torch.Tensor,
    real_lengths: torch.Tensor,
) -> torch.Tensor:
    """Those of [P, 2] pairs that float32 cannot rule out either. Raises `surest` in place."""
    if not len(pairs):
        return pairs
    for side, place in ((lengths, pairs[:, 0]), (real_lengths, pairs[:, 1])):
        if not 1 / TAME < float(side[place].min()) <= float(side[place].max()) < TAME:
            return pairs
    similarity = torch.empty(len(pairs), dtype=torch.float64, device=real.device)
    for block in row_blocks(len(pairs), CACHED * real.shape[1]):
        left, right = pairs[block, 0], pairs[block, 1]
        product = torch.linalg.vecdot(generated[left].float(), real[right].float())
        similarity[block] = product.double() / lengths[left] / real_lengths[right]
    similarity.abs_()
    error = product_error(real.shape[1], torch.float32)
    surest.scatter_reduce_(0, pairs[:, 0], similarity - error, "amax")
    return pairs[similarity + error >= surest[pairs[:, 0]]]


def _distances(generated: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """1 - |cos| of float64 unit rows along the last axis."""
    near = (generated - real).square().sum(dim=-1)
    far = (generated + real).square().sum(dim=-1)
    return torch.minimum(near, far) / 2
