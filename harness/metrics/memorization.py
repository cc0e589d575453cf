"""Memorisation distance: how close the nearest real image is to each generated one, in the competition's direction.

The mean over generated images of the minimum over real images of 1 - |cos|; rows of zeros take no part (Kaggle's MiFID,
2019; Bai et al. 2021, arXiv:2106.03062). torchmetrics takes the minimum the other way round and misses copies.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from harness.metrics.features import row_blocks
from harness.metrics.gram import product_error, read_pairs, squared_lengths

_TAME = 1e-9, 1e9  # lengths of rows whose products neither overflow in float32 nor sink into its denormals
_WAITING = 1_000_000  # pairs to be computed anew before they are


@dataclass(frozen=True)
class Memorization:
    """`distance`, its mean; `distances` [M] float64 and `nearest` [M] int64 (NaN and -1 for rows of zeros)."""

    distance: float
    distances: torch.Tensor
    nearest: torch.Tensor


def memorization(generated: torch.Tensor, real: torch.Tensor) -> Memorization:
    """Memorisation distance of [M, D] generated from [N, D] real features."""
    search = NearestByAngle(generated, real, single=True)
    read_pairs(generated, real, search, dtype=search.dtype)
    return search.found()


class NearestByAngle:
    """Reads products of generated rows with real ones, and finds the real row nearest to each generated one by angle.

    The product rules out all but the most similar and what rounding cannot tell from it. Those are computed as
    |u - (+-v)|^2 / 2 of the unit rows, which keeps its relative precision where 1 - cos would cancel. Of equally near
    real images the first is named. Where every row of a side is zeros, no image resembles another: the distance is 1.

    With `single`, products in float32 are read where they will do: `dtype` says. They rule out less, and what is found
    is the same to the last bit.
    """

    def __init__(self, generated: torch.Tensor, real: torch.Tensor, *, single: bool = False) -> None:
        self._sides = generated, real
        self._lengths = squared_lengths(generated).sqrt_()
        real_lengths = squared_lengths(real).sqrt_()
        self._empty = real_lengths == 0
        lengths = torch.cat([self._lengths, real_lengths])
        lengths = lengths[lengths > 0]
        # Not on a GPU, where a setting may round products to TF32.
        single = single and real.device.type == "cpu" and generated.dtype == real.dtype == torch.float32
        single = single and bool(((lengths > _TAME[0]) & (lengths < _TAME[1])).all())
        self.dtype = torch.float32 if single else torch.float64
        self._inverse = torch.where(self._empty, 0.0, 1 / real_lengths).to(self.dtype)
        self._error = 2 * product_error(real.shape[1], self.dtype)
        # The largest product with a unit real row so far, in units of the generated row; none is sought for zeros.
        self._best = torch.zeros_like(self._lengths).masked_fill_(self._lengths == 0, torch.inf)
        self._pending: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self._distances = torch.full_like(self._lengths, torch.inf)
        self._nearest = torch.full(self._lengths.shape, len(real), dtype=torch.int64, device=real.device)

    def read(self, rows: slice, columns: slice, products: torch.Tensor) -> None:
        similar = products.abs().mul_(self._inverse[columns])
        if bool(self._empty[columns].any()):
            similar[:, self._empty[columns]] = -1
        top = similar.amax(dim=1)
        self._best[rows] = torch.maximum(self._best[rows], top)
        floor = self._floor(rows)
        # After the first blocks few rows have a pair left that may be nearest.
        some = (top >= floor).nonzero()[:, 0]
        similar = similar[some]
        i, j = (similar >= floor[some, None]).nonzero().unbind(1)
        self._pending.append((some[i] + rows.start, j + columns.start, similar[i, j]))
        if sum(len(likeness) for *_, likeness in self._pending) > _WAITING:
            self._settle()

    def _floor(self, rows: slice | torch.Tensor) -> torch.Tensor:
        """What a pair of each of these rows must reach to be the nearest, for all that rounding may have done."""
        return self._best[rows] - self._error * self._lengths[rows]

    def found(self) -> Memorization:
        """The nearest of all that was read."""
        self._settle()
        known = self._distances < torch.inf
        distances = self._distances.masked_fill(~known, torch.nan)
        nearest = self._nearest.masked_fill(~known, -1)
        return Memorization(float(distances[known].mean()) if bool(known.any()) else 1.0, distances, nearest)

    def _settle(self) -> None:
        """Empties the pending pairs into the distances and the nearest."""
        if not self._pending:
            return
        rows, columns, likeness = (torch.cat(parts) for parts in zip(*self._pending, strict=True))
        self._pending.clear()
        kept = likeness >= self._floor(rows)
        rows, columns = rows[kept], columns[kept]
        generated, real = self._sides
        exact = torch.empty(len(rows), dtype=torch.float64, device=real.device)
        for block in row_blocks(len(rows), 8 * real.shape[1]):
            exact[block] = angular_distances(generated[rows[block]], real[columns[block]])
        before = self._distances.clone()
        self._distances.scatter_reduce_(0, rows, exact, "amin")
        self._nearest[self._distances < before] = len(real)
        hit = exact == self._distances[rows]
        self._nearest.scatter_reduce_(0, rows[hit], columns[hit], "amin")


def angular_distances(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """1 - |cos| [P] float64 of [P, D] rows, none of them zeros, one of `left` with one of `right`."""
    u, v = (
        side.double() / torch.linalg.vector_norm(side, dim=1, keepdim=True, dtype=torch.float64)
        for side in (left, right)
    )
    near, far = u - v, u + v
    return torch.minimum(torch.linalg.vecdot(near, near), torch.linalg.vecdot(far, far)) / 2
