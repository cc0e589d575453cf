"""Where feature rows point: their lengths and unit rows, which the nearest by angle are looked for with."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from harness.metrics.features import row_blocks
from harness.metrics.screening import rounded

CACHED = 8  # blocks so many times smaller than memory allows stay in a core's cache
TAME = 1e15  # rows with lengths between this and its inverse can be multiplied in float32 as they are


@dataclass(frozen=True)
class Directions:
    """Lengths [N] float64, unit rows [N, D] bfloat16, and the most [N] float64 that rounding took from each."""

    lengths: torch.Tensor
    rows: torch.Tensor
    taken: torch.Tensor

    @classmethod
    def of(cls, features: torch.Tensor, lengths: torch.Tensor | None = None) -> Directions:
        """Worked out block by block; `lengths` are those of the rows, where they are known."""
        lengths = lengths_of(features) if lengths is None else lengths
        quick = torch.empty(features.shape, dtype=torch.bfloat16, device=features.device)
        taken = torch.empty(features.shape[0], dtype=torch.float64, device=features.device)
        tame = features.dtype == torch.float32 and bool(((lengths > 1 / TAME) & (lengths < TAME)).all())
        for rows in row_blocks(features.shape[0], CACHED * features.shape[1]):
            if tame:
                quick[rows], taken[rows] = rounded(features[rows] * (1 / lengths[rows, None]).float())
            else:
                quick[rows], taken[rows] = rounded(unit(features[rows]))
        return cls(lengths, quick, taken)

    def __getitem__(self, rows: slice) -> Directions:
        return Directions(self.lengths[rows], self.rows[rows], self.taken[rows])


def lengths_of(features: torch.Tensor) -> torch.Tensor:
    """[N] float64, 0 for rows of zeros alone: the sum of squares is kept in range."""
    found = torch.empty(features.shape[0], dtype=torch.float64, device=features.device)
    if features.dtype == torch.float32:  # whose squares float64 holds
        for rows in row_blocks(features.shape[0], CACHED * features.shape[1]):
            found[rows] = torch.linalg.vector_norm(features[rows], dim=1, dtype=torch.float64)
        return found
    for rows in row_blocks(features.shape[0], 4 * features.shape[1]):
        largest = features[rows].abs().amax(dim=1, keepdim=True).double()
        scaled = features[rows].double() / largest.clamp(min=torch.finfo(torch.float64).tiny)
        found[rows] = torch.linalg.vector_norm(scaled, dim=1) * largest[:, 0]
    return found


def unit_rows(features: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """[N, D] rows of length 1; rows of zeros stay zeros."""
    found = torch.empty(features.shape, dtype=dtype, device=features.device)
    for rows in row_blocks(features.shape[0], 4 * features.shape[1]):
        found[rows] = unit(features[rows])
    return found


def unit(features: torch.Tensor) -> torch.Tensor:
    """float64 rows of length 1 along the last axis, all at once."""
    rows = features.double()
    # Scaled first: the square of a very small or large number would leave the range.
    rows = rows / rows.abs().amax(dim=-1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    return torch.nn.functional.normalize(rows, dim=-1)
