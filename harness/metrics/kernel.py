"""Kernel Inception distance: the unbiased squared maximum mean discrepancy with the cubic kernel (x.y/D + 1)^3.

Binkowski et al. 2018, arXiv:1801.01401, equation 4. Over all pairs rather than random subsets, so it is deterministic
and of least variance; its standard error comes from disjoint parts. In float64 throughout: the value is a small
difference of large sums.
"""

from __future__ import annotations

import torch

from harness.metrics.gram import read_own_pairs, read_pairs

_PARTS = 10


def part_count(real: int, generated: int) -> int:
    """How many disjoint parts of both sides the standard error comes from: 10 where each then has 2 rows."""
    return min(_PARTS, real // 2, generated // 2)


class KernelSums:
    """Reads products of rows, and sums the kernel over their pairs: over all, and within each of `parts`.

    Part p is the rows p, p + parts, p + 2 parts, ... of both sides: strided, so that data sorted by class does not put
    one class in each. `own` products are of one side with itself, where no row makes a pair with itself.
    """

    def __init__(self, dim: int, parts: int, *, own: bool) -> None:
        self.sums = torch.zeros(1 + parts, dtype=torch.float64)
        """[1 + parts]: over all ordered pairs, then within each part."""
        self._scale, self._own = 1 / dim, own

    def read(self, rows: slice, columns: slice, products: torch.Tensor) -> None:
        base = torch.add(products.new_ones(()), products, alpha=self._scale)
        kernel = base.square().mul_(base)
        mirrored = self._own and rows != columns
        if self._own and not mirrored:
            kernel.fill_diagonal_(0)
        parts = len(self.sums) - 1
        within = [kernel[(p - rows.start) % parts :: parts, (p - columns.start) % parts :: parts] for p in range(parts)]
        self.sums += (1 + mirrored) * torch.stack([part.sum() for part in (kernel, *within)]).cpu()


def own_sums(features: torch.Tensor, parts: int) -> torch.Tensor:
    """The `KernelSums.sums` of [N, D] features with themselves."""
    found = KernelSums(features.shape[1], parts, own=True)
    read_own_pairs(features, found)
    return found.sums


def kernel_distance(real: torch.Tensor, generated: torch.Tensor) -> tuple[float, float]:
    """(KID, its standard error) of [N, D] and [M, D] features."""
    parts = part_count(len(real), len(generated))
    cross = KernelSums(real.shape[1], parts, own=False)
    read_pairs(generated, real, cross)
    return distance_of_sums(own_sums(real, parts), own_sums(generated, parts), cross.sums, len(real), len(generated))


def distance_of_sums(
    real: torch.Tensor, generated: torch.Tensor, cross: torch.Tensor, n: int, m: int
) -> tuple[float, float]:
    """(KID, its standard error) of n real and m generated rows from the `KernelSums.sums` of both and between them.

    The standard error is that of the mean over the parts; NaN where a side has fewer than 4 rows.
    """
    parts = len(cross) - 1
    a, b = (torch.tensor([count, *(len(range(p, count, parts)) for p in range(parts))]) for count in (n, m))
    value, *within = real / (a * (a - 1)) + generated / (b * (b - 1)) - 2 * cross / (a * b)
    return float(value), float(torch.stack(within).std() / parts**0.5) if parts > 1 else float("nan")
