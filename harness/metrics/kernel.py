"""Kernel Inception distance: the unbiased squared maximum mean discrepancy with the cubic kernel (x.y/D + 1)^3.

Binkowski et al. 2018, arXiv:1801.01401, equation 4. Over all pairs rather than random subsets, so it is deterministic
and of least variance; its standard error comes from disjoint blocks. In float64 throughout: the value is a small
difference of large sums.
"""

from __future__ import annotations

import torch

from harness.metrics.features import pair_blocks

_BLOCKS = 10


def kernel_sum(features: torch.Tensor) -> float:
    """Sum of the kernel over all ordered pairs of different rows of [N, D] features, in float64."""
    total = torch.zeros((), dtype=torch.float64, device=features.device)
    for columns in pair_blocks(*features.shape):
        right = features[columns].double()
        kernel = _kernel(right, right)
        total += kernel.sum() - kernel.trace()
        for rows in pair_blocks(columns.start, features.shape[1]):
            total += 2 * _kernel(features[rows].double(), right).sum()
    return float(total)


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
    cross = torch.zeros((), dtype=torch.float64, device=real.device)
    for columns in pair_blocks(*real.shape):
        right = real[columns].double()
        for rows in pair_blocks(*generated.shape):
            cross += _kernel(generated[rows].double(), right).sum()
    return real_sum / (n * (n - 1)) + kernel_sum(generated) / (m * (m - 1)) - 2 * float(cross) / (n * m)


def _kernel(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    base = (left @ right.T).div_(left.shape[1]).add_(1)
    return base.square().mul_(base)
