"""The Frechet distance between Gaussians fitted to features, in the symmetric form that is always real.

d^2 = |mu_r - mu_g|^2 + tr S_r + tr S_g - 2 tr (S_r S_g)^1/2 (Heusel et al. 2017, arXiv:1706.08500, equation 6). The
last trace is the sum of the square roots of the eigenvalues of the symmetric matrix S_r^1/2 S_g S_r^1/2, which has the
same spectrum as S_r S_g; with fewer samples than dimensions the smaller G S_r G^T has its nonzero ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from harness.metrics.features import check_features, row_blocks


@dataclass(frozen=True)
class Moments:
    """Mean [D] and covariance [D, D] (ddof 1) of `count` feature rows, in float64."""

    count: int
    mean: torch.Tensor
    cov: torch.Tensor

    @cached_property
    def root(self) -> torch.Tensor:
        """The symmetric square root of the covariance, [D, D] float64."""
        return symmetric_root(self.cov)


def symmetric_root(cov: torch.Tensor) -> torch.Tensor:
    """Positive semidefinite square root of a symmetric positive semidefinite [D, D] float64 matrix."""
    values, vectors = torch.linalg.eigh(cov)
    # Rounding leaves the null space at about +-eps * largest, whose root would be 1e-8 instead of 0.
    values = torch.where(values > torch.finfo(cov.dtype).eps * values[-1], values, torch.zeros_like(values))
    root: torch.Tensor = (vectors * values.sqrt()) @ vectors.T
    return root


def moments(features: torch.Tensor) -> Moments:
    """Mean and covariance of [N, D] features in float64, block by block."""
    features = check_features("given", features)
    count, dim = features.shape
    mean = torch.zeros(dim, dtype=torch.float64, device=features.device)
    for rows in row_blocks(count, dim):
        mean += features[rows].sum(dim=0, dtype=torch.float64)
    mean /= count
    cov = torch.zeros(dim, dim, dtype=torch.float64, device=features.device)
    for rows in row_blocks(count, dim):
        centred = features[rows].double() - mean
        cov.addmm_(centred.T, centred)
    cov /= count - 1
    return Moments(count, mean, (cov + cov.T) / 2)


def frechet_distance(real: Moments, generated: torch.Tensor) -> float:
    """Frechet distance of [M, D] features from the fitted real side: a float >= 0, never complex, never NaN."""
    generated = check_features("generated", generated, dim=real.mean.shape[0])
    count, dim = generated.shape
    if count < dim:
        mean = generated.mean(dim=0, dtype=torch.float64)
        factor = (generated.double() - mean) / (count - 1) ** 0.5
        trace = factor.square().sum()
        product = factor @ real.cov @ factor.T
    else:
        fitted = moments(generated)
        mean, trace = fitted.mean, fitted.cov.trace()
        product = real.root @ fitted.cov @ real.root
    values = torch.linalg.eigvalsh((product + product.T) / 2)
    # The product has at most this rank; what is left beyond it is rounding, whose roots would add up.
    rank = min(real.count - 1, count - 1, dim)
    cross = values[-rank:].clamp(min=0).sqrt().sum()
    distance = (real.mean - mean).square().sum() + real.cov.trace() + trace - 2 * cross
    return max(0.0, float(distance))
