"""Quick products of feature rows with a proven bound on their rounding, so that a metric recomputes only what is near.

A metric that looks for the nearest rows multiplies in float32, which costs half of float64, keeps the pairs that
the bound cannot rule out and computes those anew in float64. Where rounding leaves much of a block in doubt it
multiplies that block in float64 instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from harness.machine.precision import fast_bf16
from harness.metrics.features import row_blocks

# A block with more pairs in doubt than both is sooner done by one float64 product than pair by pair.
_MANY = 4096
_SHARE = 1 / 64


def product_error(dim: int, dtype: torch.dtype) -> float:
    """Most that a product of two rows, rounded to `dtype` and multiplied in it, is off, as a share of their lengths.

    The sum of `dim` products is off by at most dim * u * |x| |y| in any order (Higham 2002, "Accuracy and Stability of
    Numerical Algorithms", section 3.1), with u the unit roundoff; the rest is for the rows' own rounding and the few
    operations after the product.
    """
    if dtype == torch.float64:
        return (dim + 16) * 2.0**-53
    # Whoever lets torch multiply float32 in TF32 or bfloat16 gets their rounding of the rows.
    reduced = 0.0 if torch.get_float32_matmul_precision() == "highest" else 2.0**-7
    return (dim + 16) * 2.0**-24 + reduced


def quickest(device: torch.device) -> torch.dtype:
    """The type in which `device` multiplies soonest among those whose rounding is bounded here.

    bfloat16 only on a CPU, where it is summed in float32; on a GPU partial sums may be rounded to bfloat16 too.
    """
    return torch.bfloat16 if device.type == "cpu" and fast_bf16(device) else torch.float32


def rounded(units: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit rows [N, D] in bfloat16, and the most [N] float64 that rounding took from the length of each.

    float32 rows may be off by two roundings to float32 in every entry; what bfloat16 takes from them is exact.
    """
    quick = units.bfloat16()
    if units.dtype == torch.float64:
        return quick, torch.linalg.vector_norm(units - quick, dim=1)
    taken = torch.linalg.vector_norm(units - quick, dim=1).double()
    return quick, taken * (1 + units.shape[1] * 2.0**-24) + 2.0**-22


def rounded_cosines(
    left: tuple[torch.Tensor, torch.Tensor], right: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """|cosines| [M, N] bfloat16 of `rounded` rows, and the most [M] float64 that any in a row, cut to 1, is off.

    |x.y - x'.y'| <= |x - x'| |y'| + |y - y'| by Cauchy and Schwarz; the sum adds `dim` roundings to float32, and the
    result, held to at most 1 as the true one is, half a step of bfloat16 below 1.
    """
    cosines = (left[0] @ right[0].T).abs_()
    dim = left[0].shape[1]
    error = (left[1] + right[1].max()) * (1 + 2.0**-7) + 2.0**-9 + (dim + 16) * 2.0**-24 * (1 + 2.0**-6)
    return cosines, error


@dataclass(frozen=True)
class Frame:
    """An origin [D] float64 in a unit of length, a power of two, in which float32 holds the features well."""

    origin: torch.Tensor
    unit: float

    @classmethod
    def around(cls, *sets: torch.Tensor) -> Frame:
        """The frame with its origin at the first set's mean, in which no number of any set exceeds 1."""
        largest = max(abs(float(end)) for features in sets for end in torch.aminmax(features))
        # Scaling by a power of two is exact.
        unit = 2.0 ** math.frexp(largest)[1]
        first = sets[0]
        origin = torch.zeros(first.shape[1], dtype=torch.float64, device=first.device)
        for rows in row_blocks(*first.shape):
            origin += (first[rows].double() / unit).sum(dim=0)
        return cls(origin / first.shape[0], unit)

    def rows(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """float32 [N, D] rows in this frame and their squared lengths [N] float32."""
        framed = (features * (1 / self.unit)).sub_(self.origin.to(features.dtype)).float()
        return framed, torch.linalg.vecdot(framed, framed)

    def limits(self, squared: torch.Tensor) -> torch.Tensor:
        """Squared distances [N] float64 of the features in this frame, as float32."""
        return (squared / self.unit / self.unit).float()


def least_and_error(
    left: tuple[torch.Tensor, torch.Tensor], right: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The least that each squared distance can be, and how much more at most: both [M, N] float32.

    `left` and `right` are rows and squared lengths of one frame.
    """
    # The constant covers what falls below float32's range.
    error = (left[1][:, None] + right[1]).mul_(2 * product_error(left[0].shape[1], torch.float32)).add_(1e-32)
    least = torch.addmm(right[1].expand(left[0].shape[0], -1), left[0], right[0].T, alpha=-2)
    least.add_(left[1][:, None]).sub_(error)
    return least, error.mul_(2)


def is_dense(pairs: torch.Tensor, left: int, right: int) -> bool:
    """Whether [P, 2] pairs are so many of left x right that one float64 product is sooner done than the pairs."""
    return pairs.shape[0] > max(_MANY, left * right * _SHARE)


def squared_distances(left: torch.Tensor, right: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """float64 [P] squared Euclidean distances of [P, 2] pairs (row of `left`, row of `right`)."""
    if is_dense(pairs, left.shape[0], right.shape[0]):
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
