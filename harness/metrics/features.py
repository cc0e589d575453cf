"""Feature matrices: what the metrics accept, and blocks of rows that bound their memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from harness.errors import MetricError

_LARGEST = 1e24  # its twelfth power, which the variance of KID is of, is still a float64
BLOCK_ELEMENTS = 2_500_000  # elements of one temporary: 20 MB in float64


def check_features(name: str, features: torch.Tensor, dim: int | None = None) -> torch.Tensor:
    """`features` detached, as floating point [N, D] with N >= 2 finite rows. Raises MetricError otherwise."""
    if not isinstance(features, torch.Tensor):
        raise MetricError(f"{name} features are {type(features).__name__}; give a torch tensor of shape [images, dim]")
    if features.ndim != 2 or features.shape[1] == 0:
        raise MetricError(f"{name} features have shape {list(features.shape)}; give [images, dim]")
    if features.shape[0] < 2:
        raise MetricError(f"{name} features have {features.shape[0]} row(s); a covariance needs at least 2 images")
    if dim is not None and features.shape[1] != dim:
        raise MetricError(
            f"{name} features have {features.shape[1]} dimensions, the real ones {dim}; use one extractor for both"
        )
    if features.is_complex() or features.dtype == torch.bool:
        raise MetricError(f"{name} features are {features.dtype}; give real numbers")
    features = features.detach()
    if not features.is_floating_point():
        features = features.double()
    elif features.dtype in (torch.float16, torch.bfloat16):
        features = features.float()
    largest = max(abs(float(end)) for end in torch.aminmax(features))  # NaN and infinity show in it
    if largest <= _LARGEST:
        return features
    if math.isfinite(largest):
        raise MetricError(f"{name} features reach {largest:.3g}; scale both sides down to at most {_LARGEST:g}")
    bad = sum(int((~torch.isfinite(features[rows]).all(dim=1)).sum()) for rows in row_blocks(*features.shape))
    raise MetricError(
        f"{bad} of {features.shape[0]} {name} feature rows hold NaN or infinity; look for a diverged generator"
    )


def row_blocks(rows: int, width: int) -> Iterator[slice]:
    """Slices over `rows` such that a float64 block of `width` columns stays within `BLOCK_ELEMENTS`."""
    step = max(1, BLOCK_ELEMENTS // max(1, width))
    return (slice(start, min(rows, start + step)) for start in range(0, rows, step))


def pair_blocks(rows: int, dim: int) -> Iterator[slice]:
    """Slices over `rows` of `dim` columns, such that the products of two blocks stay within `BLOCK_ELEMENTS` too."""
    return row_blocks(rows, max(dim, math.isqrt(BLOCK_ELEMENTS)))
