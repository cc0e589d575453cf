"""The metrics against float64 brute force, closed forms, laws and the competition's own table."""

import csv
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import MetricError
from harness.metrics import mifid_from, score_features
from harness.metrics.frechet import frechet_distance, frechet_influence, moments
from harness.metrics.kernel import kernel_distance
from harness.metrics.manifold import manifold
from harness.metrics.memorization import memorization

COMPETITION = Path(__file__).resolve().parents[2] / ".." / "shared/data/competition_results.csv"


pytestmark = pytest.mark.usefixtures("one_thread")


def draw(count: int, dim: int, rank: int | None = None, seed: int = 0, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(seed)
    rank = dim if rank is None else rank
    basis = torch.randn(rank, dim, generator=generator, dtype=torch.float64)
    rows = torch.randn(count, rank, generator=generator, dtype=torch.float64) @ basis / rank**0.5
    return (rows + torch.randn(dim, generator=generator, dtype=torch.float64)).to(dtype)


def nuclear_fid(real: torch.Tensor, generated: torch.Tensor) -> float:
    """tr (S_r S_g)^1/2 is the nuclear norm of G R^T: exact for any rank, and free of square roots of matrices."""
    r, g = real.double().numpy(), generated.double().numpy()
    rc, gc = (x - x.mean(0) for x in (r, g))
    rc, gc = rc / (len(r) - 1) ** 0.5, gc / (len(g) - 1) ** 0.5
    cross = np.linalg.svd(gc @ rc.T, compute_uv=False).sum()
    return float(((r.mean(0) - g.mean(0)) ** 2).sum() + (rc**2).sum() + (gc**2).sum() - 2 * cross)


def brute_memorization(generated: torch.Tensor, real: torch.Tensor) -> tuple[float, list[int]]:
    def unit(x: torch.Tensor) -> np.ndarray:
        y = x.double().numpy().astype(np.longdouble)
        return y / np.sqrt((y**2).sum(1, keepdims=True))

    distance = 1 - np.abs(unit(generated) @ unit(real).T)
    return float(distance.min(1).mean()), distance.argmin(1).tolist()


def brute_kid(x: np.ndarray, y: np.ndarray) -> float:
    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (float(a @ b) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def brute_manifold(real: np.ndarray, generated: np.ndarray) -> tuple[float, float, float, float]:
    def radius(x: np.ndarray, k: int) -> list[float]:
        own = [sorted(float(np.linalg.norm(a - b)) for j, b in enumerate(x) if j != i) for i, a in enumerate(x)]
        return [d[min(k, len(d)) - 1] for d in own]

    d = np.array([[np.linalg.norm(g - r) for r in real] for g in generated])
    r3, r5, g3 = np.array(radius(real, 3)), np.array(radius(real, 5)), np.array(radius(generated, 3))
    inside = d <= r5
    precision, recall = (d <= r3).any(1).mean(), (d <= g3[:, None]).any(0).mean()
    return float(precision), float(recall), float(inside.sum() / (5 * len(generated))), float(inside.any(0).mean())


def test_the_competition_scores_follow_from_their_fid_and_distance():
    if not COMPETITION.exists():
        pytest.skip(f"the competition's results are not at {COMPETITION}")
    rows = list(csv.DictReader(COMPETITION.open()))
    counted = {"public": 0, "private": 0}
    for row in rows:
        for board, tau in (("public", 0.1), ("private", 0.25)):
            score = float(row[f"{board}_score"])
            if score < 999999:
                counted[board] += 1
                got = mifid_from(float(row[f"FID_{board}"]), float(row[f"distance_{board}"]), tau)
                assert got == pytest.approx(score, rel=1e-9)
    assert counted == {"public": 1666, "private": 1171}


@pytest.mark.parametrize(("distance", "expected"), [(0.1, 50 / (1 + 1e-15)), (0.05, 50 / (0.05 + 1e-15)), (0.0, 5e16)])
def test_the_penalty_starts_strictly_below_tau(distance, expected):
    assert mifid_from(50.0, distance, 0.1) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("count", "dim"), [(300, 20), (60, 40), (41, 40)])
def test_the_frechet_distance_is_scipys_where_scipy_is_well_conditioned(count, dim):
    real, generated = draw(400, dim, seed=1), 1.3 * draw(count, dim, seed=2)
    covs = [np.cov(x.numpy(), rowvar=False) for x in (real, generated)]
    root = scipy.linalg.sqrtm(covs[0] @ covs[1])
    expected = float(((real.mean(0) - generated.mean(0)) ** 2).sum() + np.trace(sum(covs) - 2 * root.real))
    assert frechet_distance(moments(real), generated) == pytest.approx(expected, rel=1e-8)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 50), st.integers(2, 50), st.integers(1, 40), st.integers(1, 40), st.integers(0, 10_000))
def test_the_frechet_distance_is_exact_for_any_shape_and_rank(n, m, dim, rank, seed):
    real, generated = draw(n, dim, min(rank, dim), seed), draw(m, dim, min(rank, dim), seed + 1)
    scale = float(real.var(0).sum() + generated.var(0).sum())
    expected = nuclear_fid(real, generated)
    assert frechet_distance(moments(real), generated) == pytest.approx(expected, rel=1e-6, abs=5e-7 * scale)


@pytest.mark.parametrize("count", [300, 100])
def test_both_sides_in_one_flat_space_keep_their_precision(count: int) -> None:
    flat = torch.randn(10, 150, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    real, generated = draw(300, 10, seed=3) @ flat, 1.2 * draw(count, 10, seed=4) @ flat
    expected = nuclear_fid(real, generated)
    assert frechet_distance(moments(real), generated) == pytest.approx(expected, rel=1e-8)
    assert frechet_influence(moments(real), generated)[0] == pytest.approx(expected, rel=1e-8)


def test_gaussians_on_the_axes_have_the_closed_form():
    signs = torch.tensor([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)], dtype=torch.float64)
    unit = signs * (3 / 4) ** 0.5  # covariance (ddof 1) is the identity
    real, generated = unit * torch.tensor([1.0, 2.0]), unit * torch.tensor([3.0, 0.5]) + torch.tensor([1.0, -2.0])
    assert frechet_distance(moments(real), generated) == pytest.approx(5 + (3 - 1) ** 2 + (2 - 0.5) ** 2, rel=1e-12)


@pytest.mark.parametrize(("n", "m", "dim"), [(80, 90, 16), (30, 12, 64), (12, 30, 64)])
def test_the_frechet_distance_obeys_its_laws(n, m, dim):
    real, generated = draw(n, dim, seed=3), 0.7 * draw(m, dim, seed=4)
    distance = frechet_distance(moments(real), generated)
    assert frechet_distance(moments(generated), real) == pytest.approx(distance, rel=1e-7)
    shift = torch.linspace(-2, 2, dim, dtype=torch.float64)
    assert frechet_distance(moments(real + shift), generated + shift) == pytest.approx(distance, rel=1e-9)
    assert frechet_distance(moments(3 * real), 3 * generated) == pytest.approx(9 * distance, rel=1e-9)
    moved = frechet_distance(moments(real), real + shift)
    assert moved == pytest.approx(float(shift.square().sum()), rel=1e-7)


@pytest.mark.parametrize(("count", "dim"), [(200, 32), (20, 64), (2, 5)])
def test_a_set_has_no_distance_from_itself(count, dim):
    real = draw(count, dim, dtype=torch.float32)
    scores = score_features(real, real)
    assert scores.fid < 1e-5
    assert scores.memorization_distance == 0
    assert scores.nearest.tolist() == list(range(count))
    assert scores.precision == scores.recall == scores.coverage == 1


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-20, 1e20])
def test_constant_features_give_finite_scores(value):
    scores = score_features(draw(40, 8, dtype=torch.float64).abs(), torch.full((20, 8), value, dtype=torch.float64))
    assert all(map(math.isfinite, scores.numbers().values()))
    assert len(scores.numbers()) == 10
    scores = score_features(torch.full((20, 8), 1.0), torch.full((20, 8), 1.0))
    assert scores.fid == pytest.approx(0, abs=1e-12)


def test_permuted_rows_change_nothing_but_the_order():
    real, generated = draw(70, 12, seed=5).float(), draw(50, 12, seed=6).float()
    order, other = (torch.randperm(n, generator=torch.Generator().manual_seed(n)) for n in (70, 50))
    plain, mixed = score_features(real, generated), score_features(real[order], generated[other])
    numbers = mixed.numbers()
    for name, value in plain.numbers().items():
        if name != "kid_error":  # its blocks are made of the rows' order
            assert numbers[name] == pytest.approx(value, rel=1e-9), name
    assert order[mixed.nearest].tolist() == plain.nearest[other].tolist()


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.integers(2, 60), st.integers(1, 30), st.integers(0, 10_000), st.booleans())
def test_the_memorisation_distance_is_the_brute_force(n, m, dim, seed, near):
    real = draw(n, dim, seed=seed).float()
    generated = draw(m, dim, seed=seed + 1).float()
    if near:
        pick = torch.randint(0, n, (m,), generator=torch.Generator().manual_seed(seed))
        generated = real[pick] * -2 + 1e-3 * generated
    expected, _ = brute_memorization(generated, real)
    found = memorization(generated, real)
    assert found.distance == pytest.approx(expected, rel=1e-6, abs=1e-18)
    rows = torch.arange(m)
    chosen = 1 - torch.nn.functional.cosine_similarity(generated.double(), real.double()[found.nearest]).abs()
    assert torch.allclose(chosen, found.distances[rows], atol=1e-14)


def test_near_copies_that_float32_cannot_tell_apart_keep_their_nearest_and_their_digits():
    base = draw(1, 256, seed=7)
    offsets = draw(300, 256, seed=8)
    real = base + 1e-6 * offsets  # all within 1e-11 of one another in 1 - cos: far below float32
    generated = real[[17, 250, 3]] + 1e-8 * draw(3, 256, seed=9)
    expected, nearest = brute_memorization(generated, real)
    found = memorization(generated, real)
    assert nearest == [17, 250, 3]
    assert found.nearest.tolist() == nearest
    unit = [torch.nn.functional.normalize(x, dim=1) for x in (generated, real[nearest])]
    exact = float((unit[0] - unit[1]).square().sum(1).mean() / 2)
    assert found.distance == pytest.approx(exact, rel=1e-6)
    assert found.distance == pytest.approx(expected, abs=1e-17)


def test_rows_of_zeros_take_no_part_in_the_memorisation_distance():
    real, generated = draw(30, 6, seed=10), draw(20, 6, seed=11)
    real[4], generated[[0, 9]] = 0, 0
    kept = [i for i in range(20) if i not in (0, 9)]
    expected, _ = brute_memorization(generated[kept], torch.cat([real[:4], real[5:]]))
    found = memorization(generated, real)
    assert found.distance == pytest.approx(expected, rel=1e-12)
    assert found.nearest[[0, 9]].tolist() == [-1, -1]
    assert 4 not in found.nearest.tolist()


def test_of_equal_reals_the_first_is_named():
    real = draw(10, 4, seed=12).repeat(3, 1)
    assert memorization(real[:10], real).nearest.tolist() == list(range(10))


def test_copies_are_penalised_and_independent_samples_are_not():
    # Nonnegative and sparse like pooled features, so that independent rows are no near neighbours.
    generator = torch.Generator().manual_seed(0)
    real, independent = (torch.rand(n, 128, generator=generator) ** 6 for n in (2000, 300))
    copies = real[torch.randint(0, 20, (300,), generator=generator)]
    honest, copied = (
        score_features(real, x, tau=0.2, kid=False, manifold=False, mind=False) for x in (independent, copies)
    )
    assert honest.mifid == pytest.approx(honest.fid)
    assert copied.mifid > 1e6 * copied.fid
    assert set(honest.numbers()) == {"fid", "memorization_distance", "mifid"}


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 20), st.integers(2, 20), st.integers(1, 12), st.integers(0, 10_000))
def test_kid_is_the_double_sum(n, m, dim, seed):
    real, generated = draw(n, dim, seed=seed), draw(m, dim, seed=seed + 1)
    expected = brute_kid(real.numpy(), generated.numpy())
    assert kernel_distance(real, generated)[0] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_kid_of_two_samples_of_one_distribution_is_zero_within_its_error():
    values = [kernel_distance(draw(400, 16, seed=1)[:200], draw(400, 16, seed=1)[200:])]
    far = kernel_distance(draw(400, 16, seed=1), draw(400, 16, seed=1) + 1)
    value, error = values[0]
    assert abs(value) < 4 * error
    assert far[0] > 10 * far[1]


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 30), st.integers(2, 30), st.integers(1, 8), st.integers(0, 10_000))
def test_precision_recall_density_and_coverage_are_the_brute_force(n, m, dim, seed):
    # One dimension has the nearest-neighbour ties that rounding decides; shifted rows of normals have none.
    real, generated = draw(n, dim + 1, seed=seed), draw(m, dim + 1, seed=seed + 1)
    found = manifold(real, generated)
    expected = brute_manifold(real.numpy(), generated.numpy())
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("count", [40, 300, 500])
def test_copies_lie_on_the_borders_that_their_originals_lie_on(count):
    real = draw(count, 24, seed=3)
    found = manifold(real, real.clone())
    # A ball to the 5th nearest other row holds that row, the four nearer ones and the row itself.
    assert (found.precision, found.recall, found.density, found.coverage) == (1, 1, 6 / 5, 1)


def test_features_as_large_as_are_let_in_give_finite_scores():
    real, generated = draw(60, 8, seed=1), draw(50, 8, seed=2)
    small = score_features(real, generated).numbers()
    large = score_features(real * 1e23, generated * 1e23).numbers()
    assert set(large) == set(small)
    assert all(math.isfinite(value) for value in large.values())
    assert large["fid"] == pytest.approx(small["fid"] * 1e46, rel=1e-9)


def test_kid_is_torchmetrics_own():
    pytest.importorskip("torchmetrics")
    from torchmetrics.image.kid import poly_mmd

    real, generated = draw(100, 24, seed=1), draw(100, 24, seed=2)
    theirs = poly_mmd(real, generated)
    assert kernel_distance(real, generated)[0] == pytest.approx(float(theirs), rel=1e-6)


def test_fid_is_torchmetrics_own():
    fid = pytest.importorskip("torchmetrics.image.fid")
    real, generated = draw(400, 24, seed=1), draw(300, 24, seed=2)
    sides = [(x.double().mean(0), torch.cov(x.double().T)) for x in (real, generated)]
    theirs = fid._compute_fid(*sides[0], *sides[1])
    assert score_features(real, generated).fid == pytest.approx(float(theirs), rel=1e-6)


@pytest.mark.parametrize(("n", "m", "dim"), [(150, 100, 16), (200, 300, 64)])
def test_precision_and_recall_are_torch_fidelitys_own(n, m, dim):
    prc = pytest.importorskip("torch_fidelity.metric_prc")
    real, generated = draw(n + m, dim, rank=4, seed=3).split([n, m])
    generated = generated + 0.3 * draw(m, dim, rank=4, seed=4).sub(draw(1, dim, seed=4))
    precision, recall = prc.calculate_precision_recall_full(generated, real, neighborhood=3)
    scores = score_features(real, generated)
    assert 0 < scores.precision < 1
    assert 0 < scores.recall < 1
    assert (scores.precision, scores.recall) == pytest.approx((precision, recall), rel=1e-6)


def test_the_blocks_of_a_large_score_add_up(monkeypatch):
    real, generated = draw(90, 12, seed=1).float(), draw(70, 12, seed=2).float()
    whole = score_features(real, generated)
    monkeypatch.setattr("harness.metrics.features.BLOCK_ELEMENTS", 500)
    parts = score_features(real, generated)
    assert parts.numbers() == pytest.approx(whole.numbers(), rel=1e-9)
    assert parts.nearest.tolist() == whole.nearest.tolist()


@pytest.mark.parametrize(
    ("real", "generated", "said"),
    [
        (torch.ones(4, 3), torch.tensor([[1.0, math.nan, 0], [1, 2, 3]]), "1 of 2 generated feature rows hold NaN"),
        (torch.full((4, 3), math.inf), torch.ones(4, 3), "4 of 4 real feature rows hold NaN or infinity"),
        (torch.ones(4, 3), torch.ones(4, 2), "2 dimensions, the real ones 3"),
        (torch.ones(1, 3), torch.ones(4, 3), r"real features have 1 row\(s\)"),
        (torch.ones(4, 3), torch.ones(0, 3), r"generated features have 0 row\(s\)"),
        (torch.ones(4, 3), torch.rand(4, 3, dtype=torch.float64) * 1e90, r"generated features reach \d.*e\+(89|90)"),
        (torch.ones(4, 3, 1), torch.ones(4, 3), r"shape \[4, 3, 1\]"),
        (np.ones((4, 3)), torch.ones(4, 3), "ndarray"),
        (torch.ones(4, 3, dtype=torch.complex64), torch.ones(4, 3), "real numbers"),
    ],
)
def test_what_cannot_be_scored_is_refused_by_name(real, generated, said):
    with pytest.raises(MetricError, match=said):
        score_features(real, generated)


@pytest.mark.parametrize("tau", [-0.1, 1.5, math.nan])
def test_a_tau_outside_its_range_is_refused(tau):
    with pytest.raises(MetricError, match="tau is"):
        score_features(torch.rand(4, 3), torch.rand(4, 3), tau=tau)


def test_importing_the_package_loads_no_torch():
    code = "import sys, harness.metrics; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("count", [5, 15, 60])
def test_the_error_of_kid_is_that_of_the_mean_of_ten_parts_or_as_many_as_have_two_rows(count):
    real, generated = draw(90, 6, seed=1), draw(count, 6, seed=2)
    parts = min(10, count // 2)
    values = [brute_kid(real[p::parts].numpy(), generated[p::parts].numpy()) for p in range(parts)]
    found = score_features(real, generated)
    assert found.kid_error == pytest.approx(np.std(values, ddof=1) / parts**0.5, rel=1e-9)
    assert found.kid == pytest.approx(brute_kid(real.numpy(), generated.numpy()), rel=1e-9)


def test_scores_asked_for_together_are_those_asked_for_one_by_one():
    real, generated = draw(90, 12, seed=1).float(), draw(70, 12, seed=2).float()
    together = score_features(real, generated).numbers()
    for kid, manifold_too in ((True, False), (False, True), (False, False)):
        some = score_features(real, generated, kid=kid, manifold=manifold_too).numbers()
        assert some == {name: together[name] for name in some}


def test_a_generator_that_makes_one_image_over_and_over_has_balls_as_small_as_its_noise():
    real = draw(60, 16, seed=1)
    generated = real[7] + 1e-6 * draw(50, 16, seed=2)  # too near one another for a product of whole rows to tell
    expected = brute_manifold(real.numpy(), generated.numpy())
    found = manifold(real, generated)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(expected, abs=1e-12)


def test_rows_too_short_for_float64_to_multiply_count_as_zeros():
    real, generated = draw(30, 6, seed=1), draw(20, 6, seed=2)
    real[3] *= 1e-170
    generated[5] *= 1e-170
    expected = real.clone(), generated.clone()
    expected[0][3], expected[1][5] = 0, 0
    assert score_features(real, generated).numbers() == pytest.approx(score_features(*expected).numbers(), rel=1e-12)
