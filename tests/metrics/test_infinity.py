"""FID-infinity against Gaussians of known distance and a bias of known shape."""

import pytest
import torch

from harness.errors import MetricError
from harness.metrics import frechet, score_features
from harness.metrics.frechet import Moments, frechet_distance, frechet_infinity

DIM = 48


@pytest.mark.parametrize("count", [500, 1000])
def test_it_is_nearer_the_true_distance_than_the_fid_of_the_same_images(count):
    # Both Gaussians lie on the axes: the distance is |shift|^2 + sum (1 - scale)^2.
    real = Moments(10**9, torch.zeros(DIM).double(), torch.eye(DIM).double())
    scale, shift = torch.linspace(0.7, 1.2, DIM).double(), torch.linspace(-0.2, 0.2, DIM).double()
    truth = float((shift.square() + (1 - scale).square()).sum())
    plain, extrapolated = [], []
    for seed in range(8):
        noise = torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        plain.append(frechet_distance(real, noise * scale + shift) - truth)
        extrapolated.append(frechet_infinity(real, noise * scale + shift) - truth)
        assert abs(extrapolated[-1]) < abs(plain[-1])
    assert abs(sum(extrapolated)) < 0.25 * sum(plain)


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(4, [2, 3, 4]), (2001, [1000, 1072, 2001]), (12000, [5000, 5500, 12000]), (50000, [5000, 8214, 50000])],
)
def test_a_bias_of_exactly_one_over_m_leaves_nothing_and_the_sizes_are_the_papers(monkeypatch, count, sizes):
    seen = []
    monkeypatch.setattr(frechet, "frechet_distance", lambda real, x: seen.append(len(x)) or 3 + 70 / len(x))
    real = Moments(100, torch.zeros(1).double(), torch.eye(1).double())
    assert frechet_infinity(real, torch.arange(count).double()[:, None]) == pytest.approx(3, rel=1e-9)
    assert len(seen) == min(15, count // 2 + 1)
    assert [seen[0], seen[1], seen[-1]] == sizes


def test_it_repeats_and_is_left_out_unless_asked_for():
    generator = torch.Generator().manual_seed(0)
    real, generated = (torch.randn(n, 8, generator=generator) for n in (300, 200))
    asked = [score_features(real, generated, infinity=True, kid=False, manifold=False) for _ in range(2)]
    assert asked[0].fid_infinity == asked[1].fid_infinity < asked[0].fid
    assert "fid_infinity" not in score_features(real, generated).numbers()


def test_three_images_have_no_line():
    with pytest.raises(MetricError, match="FID-infinity was asked of 3 generated images"):
        score_features(torch.rand(10, 2), torch.rand(3, 2), infinity=True)
