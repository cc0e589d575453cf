"""The bound on quick products against exact distances, and metrics that rest on it where it must give way."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.metrics import features, screening
from harness.metrics.manifold import manifold, radii
from harness.metrics.memorization import memorization
from harness.metrics.screening import Frame, least_and_error, rounded, rounded_cosines


def exact(left: torch.Tensor, right: torch.Tensor) -> np.ndarray:
    x, y = (side.double().numpy().astype(np.longdouble) for side in (left, right))
    return ((x[:, None] - y[None]) ** 2).sum(2)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 200),
    st.sampled_from([1e-30, 1e-3, 1.0, 1e15]),
    st.sampled_from([0.0, 1.0, 1e4]),
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from(["highest", "medium"]),
    st.integers(0, 1000),
)
def test_every_distance_lies_within_the_bound(dim, scale, offset, dtype, precision, seed):
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(n, dim, generator=generator, dtype=torch.float64) for n in (7, 9))
    right[0] = left[0] * (1 + 1e-6)
    left, right = (((side + offset) * scale).to(dtype) for side in (left, right))
    frame = Frame.around(right, left)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        least, error = least_and_error(frame.rows(left), frame.rows(right))
    finally:
        torch.set_float32_matmul_precision(before)
    true = exact(left, right) / frame.unit / frame.unit
    assert (least.numpy() <= true).all()
    assert (true <= (least + error).numpy()).all()


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 3000),
    st.sampled_from([0.0, 3.0]),
    st.sampled_from([0.0, 1e-3]),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 1000),
)
def test_bfloat16_cosines_lie_within_their_bound(dim, offset, apart, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    left = torch.randn(5, dim, generator=generator, dtype=torch.float64) + offset
    right = torch.randn(7, dim, generator=generator, dtype=torch.float64) + offset
    right[:5] = -left + apart * right[:5] if seed % 2 else right[:5]
    left, right = (torch.nn.functional.normalize(side) for side in (left, right))
    cosines, error = rounded_cosines(rounded(left.to(dtype)), rounded(right.to(dtype)))
    assert bool(((cosines.double().clamp(max=1) - (left @ right.T).abs()).abs() <= error[:, None]).all())
    assert float(error.max()) < 0.02  # and is small enough to be of use


def brute_radii(rows: torch.Tensor, k: int) -> np.ndarray:
    own = exact(rows, rows)
    np.fill_diagonal(own, np.inf)
    return np.sort(own, axis=1)[:, k - 1]


CASES = {
    "spread": lambda x: x,
    "offset": lambda x: x + 1e4,
    "clusters nearer than float32 tells": lambda x: x.sign() + 1e-6 * x,
    "halves of copies": lambda x: torch.cat([x[: len(x) // 2], x[: len(x) - len(x) // 2]]),
}


# Whole blocks in float64 (many = 0) resolve no cluster a millionth as wide as the set.
@pytest.mark.parametrize(
    ("case", "many"), [*((case, 4096) for case in CASES), ("spread", 0), ("offset", 0), ("halves of copies", 0)]
)
def test_balls_hold_what_brute_force_finds_however_the_work_is_cut(monkeypatch, case, many):
    monkeypatch.setattr(screening, "_MANY", many)
    monkeypatch.setattr(features, "BLOCK_ELEMENTS", 600)
    generator = torch.Generator().manual_seed(0)
    real, generated = (CASES[case](torch.randn(n, 5, generator=generator).double()) for n in (120, 90))
    r3, r5, g3 = brute_radii(real, 3), brute_radii(real, 5), brute_radii(generated, 3)
    assert radii(real).numpy() == pytest.approx(np.stack([r3, r5]).astype(float), rel=1e-9, abs=1e-15)
    d = exact(generated, real)
    found = manifold(real, generated)
    expected = (d <= r3).any(1).mean(), (d <= g3[:, None]).any(0).mean(), (d <= r5).sum() / 450, (d <= r5).any(0).mean()
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("many", [0, 4096])
@pytest.mark.parametrize("waiting", [0, 100_000])
@pytest.mark.parametrize(
    ("quick", "dtype"),
    [(torch.float32, torch.float64), (torch.bfloat16, torch.float64), (torch.bfloat16, torch.float32)],
)
def test_the_nearest_is_brute_forces_however_the_work_is_cut(monkeypatch, case, many, waiting, quick, dtype):
    monkeypatch.setattr("harness.metrics.memorization.quickest", lambda device: quick)
    monkeypatch.setattr(screening, "_MANY", many)
    monkeypatch.setattr(features, "BLOCK_ELEMENTS", 600)
    monkeypatch.setattr("harness.metrics.memorization._WAITING", waiting)
    generator = torch.Generator().manual_seed(0)
    real, generated = (CASES[case](torch.randn(n, 5, generator=generator).double()).to(dtype) for n in (120, 90))
    real[7], generated[3] = 0, 0
    x, y = (side.numpy().astype(np.longdouble) for side in (generated, real))
    with np.errstate(invalid="ignore"):
        u, v = x / np.sqrt((x**2).sum(1, keepdims=True)), y / np.sqrt((y**2).sum(1, keepdims=True))
    near, far = ((u[:, None] - sign * v[None]) ** 2 for sign in (1, -1))
    distance = np.minimum(near.sum(2), far.sum(2)) / 2
    distance[:, 7] = np.inf
    found = memorization(generated, real)
    kept = [i for i in range(90) if i != 3]
    expected = distance[kept].min(1).astype(float)
    assert found.distances[kept].numpy() == pytest.approx(expected, rel=1e-6, abs=1e-20)
    chosen = distance[kept, found.nearest[kept].numpy()].astype(float)
    assert chosen == pytest.approx(expected, rel=1e-6, abs=1e-20)
    assert int(found.nearest[3]) == -1
