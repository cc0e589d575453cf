"""FID-infinity: the Frechet distance extrapolated to infinitely many generated images.

The FID of M images is biased upwards by about a constant over M, and the constant depends on the generator, so that a
ranking at one M need not be the ranking. Chong and Forsyth (2020, arXiv:1911.07023) therefore fit a line in 1 / M to
the FID of random subsets and read it at 1 / M = 0.
"""

from __future__ import annotations

import torch

from harness.errors import MetricError
from harness.metrics.features import check_features
from harness.metrics.frechet import Moments, frechet_distance

_SIZES = 15
_SMALLEST = 5000
_SEED = 0


def frechet_infinity(real: Moments, generated: torch.Tensor) -> float:
    """Least-squares value at 1 / M = 0 of the FID of subsets of [M, D] generated features against the real side.

    15 sizes lie evenly from 5,000, the paper's smallest, to M; with fewer than 10,000 images from half of them, and
    with few images fewer sizes. Every subset is drawn without replacement by one generator of seed 0, so the value
    repeats. Only the bias of the generated side is removed. It may be negative. The bias is a line in 1 / M only where
    M is several times the dimension. Costs up to 15 Frechet distances. Raises MetricError with fewer than 4 rows.
    """
    generated = check_features("generated", generated, dim=real.mean.shape[0])
    count = generated.shape[0]
    if count < 4:
        raise MetricError(
            f"FID-infinity was asked of {count} generated images; its line needs at least 4, and thousands to mean much"
        )
    smallest = min(_SMALLEST, count // 2)
    sizes = sorted({round(smallest + i * (count - smallest) / (_SIZES - 1)) for i in range(_SIZES)})
    dice = torch.Generator().manual_seed(_SEED)
    values = []
    for size in sizes:
        chosen = torch.randperm(count, generator=dice)[:size].to(generated.device)
        values.append(frechet_distance(real, generated[chosen]))
    line = torch.stack([torch.ones(len(sizes), dtype=torch.float64), 1 / torch.tensor(sizes, dtype=torch.float64)], 1)
    # In units of 1 / M, so that both columns are of one size.
    line[:, 1] *= count
    return float(torch.linalg.lstsq(line, torch.tensor(values, dtype=torch.float64)[:, None]).solution[0])
