"""Kernel Inception distance: the unbiased squared maximum mean discrepancy with the cubic kernel (x.y/D + 1)^3.

Binkowski et al. 2018, arXiv:1801.01401, equation 4. Over all pairs rather than random subsets, so it is deterministic
and of least variance; its standard error comes from disjoint blocks.
"""

from __future__ import annotations

import torch

from harness.metrics.features import row_blocks

_BLOCKS = 10


def kernel_sum(features: torch.Tensor) -> float:
    """Sum of the kernel over all ordered pairs of different rows of [N, D] features, in float64."""
    return _cross_sum(features, features) - float(_cube(features.double().square().sum(1), features.shape[1]).sum())


def kernel_distance(real: torch.Tensor, generated: torch.Tensor, real_sum: float | None = None) -> tuple[float, float]:
    """(KID, its standard error) of [N, D] and [M, D] features; `real_sum` is `kernel_sum(real)`.

    The standard error is that of the mean over 10 disjoint blocks of both sides (fewer where a side has fewer than 20
    rows; NaN where it has fewer than 4).
    """
    value = _unbiased(real, generated, kernel_sum(real) if real_sum is None else real_sum)
    blocks = min(_BLOCKS, real.shape[0] // 2, generated.shape[0] // 2)
    if blocks < 2:
        return value, float("nan")
    # Strided, so that data sorted by class does not put one class in each block.
    parts = [(real[i::blocks], generated[i::blocks]) for i in range(blocks)]
    values = torch.tensor([_unbiased(r, g, kernel_sum(r)) for r, g in parts], dtype=torch.float64)
    return value, float(values.std() / blocks**0.5)


def _unbiased(real: torch.Tensor, generated: torch.Tensor, real_sum: float) -> float:
    n, m = real.shape[0], generated.shape[0]
    cross = _cross_sum(generated, real)
    return real_sum / (n * (n - 1)) + kernel_sum(generated) / (m * (m - 1)) - 2 * cross / (n * m)


def _cross_sum(left: torch.Tensor, right: torch.Tensor) -> float:
    total = torch.zeros((), dtype=torch.float64, device=left.device)
    for columns in row_blocks(right.shape[0], right.shape[1]):
        transposed = right[columns].double().T
        for rows in row_blocks(left.shape[0], max(transposed.shape)):
            total += _cube(left[rows].double() @ transposed, left.shape[1]).sum()
    return float(total)


def _cube(product: torch.Tensor, dim: int) -> torch.Tensor:
    base = product / dim + 1
    return base * base * base
