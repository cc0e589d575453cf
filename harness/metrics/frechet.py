"""The Frechet distance between Gaussians fitted to features, in the symmetric form that is always real.

d^2 = |mu_r - mu_g|^2 + tr S_r + tr S_g - 2 tr (S_r S_g)^1/2 (Heusel et al. 2017, arXiv:1706.08500, equation 6). The
last trace is the sum of the square roots of the eigenvalues of the symmetric matrix L^T S_g L with S_r = L L^T, which
has the same spectrum as S_r S_g; with fewer samples than dimensions the smaller G S_r G^T has its nonzero ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.linalg import eigvalsh
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dsygst

from harness.errors import MetricError
from harness.metrics.features import check_features, row_blocks

_SIZES = 15
_SMALLEST = 5000


@dataclass(frozen=True)
class Moments:
    """Mean [D] and covariance [D, D] (ddof 1) of `count` feature rows, in float64."""

    count: int
    mean: torch.Tensor
    cov: torch.Tensor

    @cached_property
    def factor(self) -> torch.Tensor:
        """L [D, D] float64 with L L^T the covariance, or [D, rank] where that is singular.

        Cholesky's where the matrix is definite beyond rounding, else the eigenvectors times the roots of their values:
        rounding leaves the null space at about +-eps * largest, whose roots would be 1e-8 instead of 0.
        """
        factor: torch.Tensor
        factor, failed = torch.linalg.cholesky_ex(self.cov)
        if not bool(failed) and bool(factor.diagonal().square().min() > 1e-12 * self.cov.diagonal().max()):
            return factor
        values, vectors = torch.linalg.eigh(self.cov)
        kept = values > len(self.cov) * torch.finfo(values.dtype).eps * values[-1]
        kept[-1] = True
        factor = vectors[:, kept] * values[kept].clamp(min=0).sqrt()
        return factor


def moments(features: torch.Tensor) -> Moments:
    """Mean and covariance of [N, D] features in float64, block by block."""
    features = check_features("given", features)
    count, dim = features.shape
    mean = torch.zeros(dim, dtype=torch.float64, device=features.device)
    for rows in row_blocks(count, dim):
        mean += features[rows].sum(dim=0, dtype=torch.float64)
    mean /= count
    return Moments(count, mean, _scatter(features, mean).div_(count - 1))


def _scatter(features: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """The sum of the outer products of centred rows, [D, D] float64, block by block."""
    count, dim = features.shape
    if features.device.type != "cpu":
        found = torch.zeros(dim, dim, dtype=torch.float64, device=features.device)
        for rows in row_blocks(count, dim):
            centred = features[rows].double() - mean
            found.addmm_(centred.T, centred)
        return found
    # One triangle alone, which torch has no product for. LAPACK's order of columns makes it the upper one here. NumPy
    # subtracts, since the threads of torch would still be waiting for more on the cores that SciPy's are to have.
    products = np.zeros((dim, dim), order="F")
    given, centre = features.numpy(), mean.numpy()
    blocks = list(row_blocks(count, dim))
    room = np.empty((blocks[0].stop, dim))
    for rows in blocks:
        centred = np.subtract(given[rows], centre, out=room[: rows.stop - rows.start])
        products = dsyrk(1.0, centred.T, beta=1.0, c=products, lower=True, overwrite_c=True)
    upper = torch.from_numpy(products.T)
    return upper.add_(upper.triu(1).T)


def _congruent(factor: torch.Tensor, cov: torch.Tensor) -> torch.Tensor:
    """L^T S L of [D, D] matrices, of which only the lower triangle is sure to be right; may overwrite `cov`."""
    triangular = factor.shape == cov.shape and not bool(factor.triu(1).any())
    if cov.device.type != "cpu" or not triangular:
        return factor.T @ cov @ factor
    # By its symmetry a quarter of the work. Transposed, LAPACK needs no copies.
    reduced, failed = dsygst(cov.numpy().T, factor.numpy().T, itype=2, lower=False, overwrite_a=True)
    assert failed == 0, f"dsygst refused its argument {-failed}"
    return torch.from_numpy(reduced).T


def _eigenvalues(matrix: torch.Tensor) -> torch.Tensor:
    """Ascending eigenvalues of the symmetric matrix whose lower triangle is given; overwrites it."""
    found: torch.Tensor
    if matrix.device.type != "cpu":
        found = torch.linalg.eigvalsh(matrix)
        return found
    # torch's first call in a process takes more than twice as long. Transposed, LAPACK needs no copy.
    found = torch.from_numpy(eigvalsh(matrix.T.numpy(), lower=False, overwrite_a=True, check_finite=False))
    return found


def frechet_distance(real: Moments, generated: torch.Tensor) -> float:
    """Frechet distance of [M, D] features from the fitted real side: a float >= 0, never complex, never NaN."""
    generated = check_features("generated", generated, dim=real.mean.shape[0])
    count, dim = generated.shape
    if count < dim:
        factor, mean = _sample_factor(generated)
        return _distance(real, mean, factor.square().sum(), _eigenvalues(_gram(factor, real)), count)
    fitted = moments(generated)
    trace = fitted.cov.trace()
    return _distance(real, fitted.mean, trace, _eigenvalues(_congruent(real.factor, fitted.cov)), count)


def frechet_influence(real: Moments, generated: torch.Tensor) -> tuple[float, torch.Tensor]:
    """(`frechet_distance`, its derivative [M] float64 by the weight of each generated row, whose mean is zero).

    The empirical influence function (Hampel 1974): with z = x - mu_g, c = M / (M - 1) and K = L^T S_g L it is
    2 (mu_g - mu_r).z + c |z|^2 - tr S_g - (c z^T L K^-1/2 L^T z - tr K^1/2).
    """
    generated = check_features("generated", generated, dim=real.mean.shape[0])
    count, dim = generated.shape
    scale = count / (count - 1)
    if count < dim:
        factor, mean = _sample_factor(generated)
        product = _gram(factor, real)
        values, vectors = torch.linalg.eigh(product)
        roots = values.clamp(min=0).sqrt()
        if len(product) == count:
            cross = count * (vectors.square() @ roots)
        else:
            inverse = torch.where(values > count * torch.finfo(values.dtype).eps * values[-1], roots, torch.inf)
            cross = count * (((factor @ real.factor) @ vectors).square() @ inverse.reciprocal())
        trace = factor.square().sum()
        squared = count * factor.square().sum(dim=1)
        along = factor @ (mean - real.mean) * (count - 1) ** 0.5
    else:
        fitted = moments(generated)
        mean, trace = fitted.mean, fitted.cov.trace()
        product = _congruent(real.factor, fitted.cov)
        del fitted  # these matrices are what a score's memory goes to
        values, vectors = torch.linalg.eigh(product)
        del product
        roots = values.clamp(min=0).sqrt()
        # What rounding leaves of a null space has no direction to speak of.
        inverse = torch.where(values > dim * torch.finfo(values.dtype).eps * values[-1], roots, torch.inf).rsqrt()
        whitened = real.factor @ vectors.mul_(inverse)
        cross, squared, along = (torch.empty(count, dtype=torch.float64, device=generated.device) for _ in range(3))
        for rows in row_blocks(count, 4 * dim):
            centred = generated[rows].double() - mean
            along[rows] = centred @ (mean - real.mean)
            squared[rows] = scale * torch.linalg.vecdot(centred, centred)
            cross[rows] = scale * (centred @ whitened).square_().sum(dim=1)
    influence = 2 * along + squared - trace - (cross - roots.sum())
    return _distance(real, mean, trace, values, count), influence


def frechet_infinity(real: Moments, generated: torch.Tensor) -> float:
    """FID-infinity: least-squares value at 1 / M = 0 of the FID of subsets of [M, D] generated features.

    The FID of M images is biased upwards by about a constant over M, and the constant depends on the generator, so that
    a ranking at one M need not be the ranking (Chong and Forsyth 2020, arXiv:1911.07023).

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
    dice = torch.Generator().manual_seed(0)
    subsets = (torch.randperm(count, generator=dice)[:size].to(generated.device) for size in sizes)
    values = [frechet_distance(real, generated[chosen]) for chosen in subsets]
    line = torch.stack([torch.ones(len(sizes), dtype=torch.float64), 1 / torch.tensor(sizes, dtype=torch.float64)], 1)
    # In units of 1 / M, so that both columns are of one size.
    line[:, 1] *= count
    return float(torch.linalg.lstsq(line, torch.tensor(values, dtype=torch.float64)[:, None]).solution[0])


def _gram(factor: torch.Tensor, real: Moments) -> torch.Tensor:
    """G S_r G^T [M, M] of `factor` G [M, D], or L^T G^T G L where that is smaller: the same nonzero eigenvalues."""
    if real.factor.shape[1] >= factor.shape[0]:
        return factor @ real.cov @ factor.T
    projected = factor @ real.factor
    return projected.T @ projected


def _sample_factor(generated: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(G [M, D] float64 with G^T G the covariance, the mean)."""
    mean = generated.mean(dim=0, dtype=torch.float64)
    factor = generated.to(torch.float64, copy=True).sub_(mean)
    return factor.div_((generated.shape[0] - 1) ** 0.5), mean


def _distance(real: Moments, mean: torch.Tensor, trace: torch.Tensor, eigenvalues: torch.Tensor, count: int) -> float:
    # The product has at most this rank; what is left beyond it is rounding, whose roots would add up.
    rank = min(real.count - 1, count - 1, mean.shape[0])
    cross = eigenvalues[-rank:].clamp(min=0).sqrt().sum()
    distance = (real.mean - mean).square().sum() + real.cov.trace() + trace - 2 * cross
    return max(0.0, float(distance))
