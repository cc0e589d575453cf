"""The standard error of the MiFID against finite differences and the spread of fresh sets."""

import math

import numpy as np
import pytest
import torch

from harness.metrics import score_features
from harness.metrics.frechet import frechet_distance, frechet_influence, moments
from harness.metrics.scores import RealSide


def weighted_fid(real: np.ndarray, generated: np.ndarray, weights: np.ndarray) -> float:
    """FID with weighted generated rows; the trace of the root is a nuclear norm, which needs no inverse."""
    count = len(generated)
    rc, gc = real - real.mean(0), generated - weights @ generated
    rc = rc / (len(real) - 1) ** 0.5
    gc = gc * np.sqrt(weights * count / (count - 1))[:, None]
    cross = np.linalg.svd(gc @ rc.T, compute_uv=False).sum()
    return ((real.mean(0) - weights @ generated) ** 2).sum() + (rc**2).sum() + (gc**2).sum() - 2 * cross


@pytest.mark.parametrize(("count", "dim"), [(40, 6), (9, 20), (8, 8)])
def test_the_influence_is_the_derivative_by_the_weights(count, dim):
    generator = torch.Generator().manual_seed(0)
    real, generated = (torch.randn(n, dim, generator=generator, dtype=torch.float64) for n in (50, count))
    generated = 1.5 * generated + 0.3
    distance, influence = frechet_influence(moments(real), generated)
    assert distance == pytest.approx(frechet_distance(moments(real), generated), rel=1e-9)
    even = np.full(count, 1 / count)
    for row in range(count):
        step = 1e-5 * (np.eye(count)[row] - even)
        ends = [weighted_fid(real.numpy(), generated.numpy(), even + sign * step) for sign in (1, -1)]
        assert float(influence[row]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("tau", [0.0, 1.0])
@pytest.mark.slow
def test_the_standard_error_is_the_spread_of_fresh_sets_of_one_generator(tau):
    generator = torch.Generator().manual_seed(0)
    dim, count, repeats = 32, 1000, 150
    mix = torch.randn(dim, dim, generator=generator) / dim**0.5
    real = RealSide(torch.randn(2000, dim, generator=generator) + 1)
    scores = []
    for _ in range(repeats):
        generated = torch.randn(count, dim, generator=generator) @ mix + 1.1
        scores.append(real.score(generated, tau=tau, kid=False, manifold=False, interval=True))
    assert scores[0].memorization_distance < 1
    spread = np.std([s.mifid for s in scores], ddof=1)
    stated = math.sqrt(np.mean([s.mifid_error**2 for s in scores]))
    assert stated == pytest.approx(spread, rel=0.3)


@pytest.mark.slow
def test_rows_of_zeros_weigh_in_the_fid_alone():
    generator = torch.Generator().manual_seed(0)
    real, generated = (torch.rand(n, 6, generator=generator) for n in (300, 200))
    generated[:50] = 0
    scores = score_features(real, generated, tau=1, interval=True, kid=False, manifold=False)
    # Images moved one by one: the delete-one jackknife, which the infinitesimal one approaches.
    left_out = []
    for row in range(200):
        rest = torch.cat([generated[:row], generated[row + 1 :]])
        left_out.append(score_features(real, rest, tau=1, kid=False, manifold=False).mifid)
    expected = math.sqrt(199 / 200 * np.sum((np.array(left_out) - np.mean(left_out)) ** 2))
    assert scores.mifid_error == pytest.approx(expected, rel=0.1)
    assert "mifid_error" not in score_features(real, generated).numbers()
