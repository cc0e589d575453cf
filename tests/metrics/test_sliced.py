"""MIND against brute force, optimal assignment, closed forms of Gaussians and the laws of a squared distance."""

import itertools
import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.metrics import score_features
from harness.metrics.sliced import DIRECTIONS, directions, projections, squared_wasserstein
from harness.metrics.sliced import monge_distance as mind


def draw(count: int, dim: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def brute(real: torch.Tensor, generated: torch.Tensor) -> float:
    """Every row repeated until both sides have equally many, then direction by direction in NumPy."""
    x, y = real.numpy(), generated.numpy()
    along = np.random.RandomState(0).standard_normal((1000, x.shape[1]))
    whole = math.lcm(len(x), len(y))
    x, y = np.repeat(x, whole // len(x), axis=0), np.repeat(y, whole // len(y), axis=0)
    total = 0.0
    for direction in along:
        unit = direction / math.sqrt(float(direction @ direction))
        total += float(((np.sort(x @ unit) - np.sort(y @ unit)) ** 2).mean())
    return 3 * x.shape[1] * total / len(along)


@pytest.mark.parametrize(("n", "m", "dim"), [(40, 40, 7), (40, 60, 7), (30, 7, 20), (13, 64, 1)])
def test_it_is_what_sorting_one_direction_after_another_gives(n: int, m: int, dim: int) -> None:
    real, generated = draw(n, dim, 1), 1.4 * draw(m, dim, 2) + 0.3
    assert mind(real, generated) == pytest.approx(brute(real, generated), rel=1e-12)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 10_000))
def test_in_one_dimension_it_is_the_optimal_transport_that_linear_programming_finds(n: int, m: int, seed: int) -> None:
    x, y = np.random.default_rng(seed).normal(size=n), np.random.default_rng(seed + 1).normal(size=m)
    cost = (x[:, None] - y) ** 2
    rows = [np.repeat(np.arange(n) == i, m) for i in range(n)] + [np.tile(np.arange(m) == j, n) for j in range(m)]
    solved = scipy.optimize.linprog(cost.ravel(), A_eq=np.array(rows, float), b_eq=[1 / n] * n + [1 / m] * m)
    found = squared_wasserstein(*(torch.from_numpy(np.sort(side))[None] for side in (x, y)))
    assert float(found) == pytest.approx(solved.fun, rel=1e-9, abs=1e-12)


def test_of_all_pairings_of_equally_many_values_the_cheapest_counts() -> None:
    x, y = draw(6, 1, 3)[:, 0], draw(6, 1, 4)[:, 0]
    cheapest = min(float((x - y[list(order)]).square().mean()) for order in itertools.permutations(range(6)))
    found = squared_wasserstein(x.sort().values[None], y.sort().values[None])
    assert float(found) == pytest.approx(cheapest, rel=1e-12)


def test_where_values_are_only_moved_apart_it_is_the_square_of_scipys_distance() -> None:
    # SciPy's is the first Wasserstein distance; of a shift, the first and the root of the second are the same.
    x = draw(50, 1, 5)[:, 0]
    y = x.repeat_interleave(3) + 2.5
    found = squared_wasserstein(x.sort().values[None], y.sort().values[None])
    assert float(found) == pytest.approx(scipy.stats.wasserstein_distance(x.numpy(), y.numpy()) ** 2, rel=1e-9)


def test_between_gaussians_it_is_their_wasserstein_distance_in_closed_form() -> None:
    # In one dimension (m1 - m2)^2 + (s1 - s2)^2 (Dowson and Landau 1982), times three.
    places = (np.arange(200_000) + 0.5) / 200_000
    quantiles = torch.from_numpy(scipy.stats.norm.ppf(places))[:, None]
    found = squared_wasserstein((1.0 + 2.0 * quantiles[:, 0])[None], (-0.5 + 0.7 * quantiles[:, 0])[None])
    assert float(found) == pytest.approx(1.5**2 + 1.3**2, rel=1e-4)
    few = quantiles[::200]
    shifted, stretched = mind(few, few + 1.5), mind(few, 3 * few)
    assert shifted == pytest.approx(3 * 1.5**2, rel=1e-9)
    assert stretched == pytest.approx(3 * 2.0**2 * float(few.square().mean()), rel=1e-9)


def test_gaussians_in_many_dimensions_are_as_far_apart_as_their_projections() -> None:
    # Of N(0, I) against N(v, s^2 I), every direction u sees N(0, 1) against N(u.v, s^2).
    dim, count, spread = 64, 4000, 1.5
    shift = torch.zeros(dim, dtype=torch.float64)
    shift[3] = 2.0
    expected = 3 * dim * ((shift @ directions(dim)).square().mean() + (spread - 1) ** 2)
    found = mind(draw(count, dim, 1), shift + spread * draw(count, dim, 2))
    assert found == pytest.approx(float(expected), rel=0.02)
    assert found == pytest.approx(3 * (4 + dim * (spread - 1) ** 2), rel=0.03)  # with directions all around


def test_a_shift_counts_as_three_times_its_square_whatever_the_number_of_features() -> None:
    for dim in (16, 512):
        real, shift = draw(100, dim), torch.zeros(dim, dtype=torch.float64)
        shift[0] = 5.0
        exact = 3 * dim * float((shift @ directions(dim)).square().mean())
        assert mind(real, real + shift) == pytest.approx(exact, rel=1e-9)
        assert exact == pytest.approx(3 * 25, rel=0.15)


def test_it_is_nothing_for_the_same_rows_and_grows_as_a_square() -> None:
    real, generated = draw(50, 12, 1), draw(35, 12, 2) + 0.5
    whole = mind(real, generated)
    assert mind(real, real) == 0.0
    assert mind(real, real.flip(0)) == pytest.approx(0.0, abs=1e-20)
    assert mind(real, real.repeat(3, 1)) == pytest.approx(0.0, abs=1e-20)
    assert mind(generated, real) == pytest.approx(whole, rel=1e-12)
    assert mind(7 * real, 7 * generated) == pytest.approx(49 * whole, rel=1e-12)
    assert mind(real + 100, generated + 100) == pytest.approx(whole, rel=1e-9)


def test_what_equal_means_and_covariances_hide_from_the_frechet_distance_shows() -> None:
    normal = draw(2000, 8, 1)
    coins = draw(2000, 8, 2).sign()
    moved = coins - coins.mean(0)
    factors = [torch.linalg.cholesky((side - side.mean(0)).T @ (side - side.mean(0))) for side in (normal, moved)]
    alike = torch.linalg.solve_triangular(factors[1], moved.T, upper=False).T @ factors[0].T + normal.mean(0)
    other = draw(2000, 8, 3)
    hidden, sampled = (score_features(normal, each, kid=False, manifold=False) for each in (alike, other))
    assert hidden.fid < 1e-9 < sampled.fid
    assert hidden.mind > 3 * sampled.mind


def test_the_directions_have_length_one_prefer_no_side_and_are_always_the_same() -> None:
    found = directions(50)
    assert found.shape == (50, DIRECTIONS)
    assert torch.allclose(found.norm(dim=0), torch.ones(DIRECTIONS, dtype=torch.float64), rtol=1e-14)
    spread = found @ found.T / DIRECTIONS * 50
    assert float((spread - torch.eye(50, dtype=torch.float64)).abs().max()) < 0.2
    # The first numbers of the Mersenne Twister seeded with 0, by the polar method, as in any textbook session of NumPy.
    known = torch.tensor([1.764052345967664, 0.4001572083672233, 0.9787379841057392], dtype=torch.float64)
    assert torch.allclose(found[:3, 0] / found[0, 0], known / known[0], rtol=1e-12)


def test_float32_features_lose_nothing_on_the_way() -> None:
    real, generated = draw(300, 40, 1).float(), (draw(200, 40, 2) + 0.01).float()
    assert mind(real, generated) == pytest.approx(brute(real.double(), generated.double()), rel=1e-12)


def test_it_is_among_the_scores_and_can_be_left_out() -> None:
    real, generated = draw(60, 9, 1), draw(45, 9, 2) + 0.2
    assert score_features(real, generated).mind == pytest.approx(brute(real, generated), rel=1e-12)
    assert "mind" in score_features(real, generated).numbers()
    assert "mind" not in score_features(real, generated, mind=False).numbers()


def test_projections_of_the_real_side_that_were_kept_give_the_same_distance() -> None:
    real, generated = draw(300, 70, 1), draw(40, 70, 2) + 0.3
    assert mind(real, generated, projections(real)) == pytest.approx(mind(real, generated), rel=1e-13)
