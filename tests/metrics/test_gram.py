"""Products of all pairs against exact ones, and the metrics that read them where rounding leaves them in doubt."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.metrics import features, gram
from harness.metrics.gram import product_error, read_own_pairs, read_pairs, squared_lengths
from harness.metrics.manifold import manifold, radii
from harness.metrics.memorization import NearestByAngle, memorization


def exact(left: torch.Tensor, right: torch.Tensor) -> np.ndarray:
    x, y = (side.double().numpy().astype(np.longdouble) for side in (left, right))
    return ((x[:, None] - y[None]) ** 2).sum(2)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 400),
    st.sampled_from([1e-30, 1.0, 1e15]),
    st.sampled_from([0.0, 1.0, 1e4]),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 1000),
)
def test_every_product_lies_within_the_bound(dim, scale, offset, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(n, dim, generator=generator, dtype=torch.float64) for n in (7, 9))
    left, right = (((side + offset) * scale).to(dtype) for side in (left, right))
    (block,) = seen(read_pairs, left, right)
    x, y = (side.double().numpy().astype(np.longdouble) for side in (left, right))
    lengths = (squared_lengths(left)[:, None] * squared_lengths(right)).sqrt().numpy()
    assert (abs(block[2].numpy() - x @ y.T) <= product_error(dim) * lengths).all()


def seen(read, *sides: torch.Tensor) -> list[tuple[slice, slice, torch.Tensor]]:
    blocks = []

    class Reader:
        def read(self, rows: slice, columns: slice, products: torch.Tensor) -> None:
            blocks.append((rows, columns, products))

    read(*sides, Reader())
    return blocks


def test_every_pair_is_shown_once_and_a_mirror_image_not_at_all(monkeypatch):
    monkeypatch.setattr(features, "BLOCK_ELEMENTS", 100)
    left, right = torch.randn(37, 3).double(), torch.randn(23, 3).double()
    for blocks, whole in (
        (seen(read_pairs, left, right), left @ right.T),
        (seen(read_own_pairs, left), (left @ left.T)),
    ):
        assert len(blocks) > 4
        found = torch.full_like(whole, torch.nan)
        for rows, columns, products in blocks:
            assert found[rows, columns].isnan().all()
            found[rows, columns] = products
            if whole.shape[0] == whole.shape[1] and rows != columns:
                assert found[columns, rows].isnan().all()
                found[columns, rows] = products.T
        assert torch.allclose(found, whole)


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
    monkeypatch.setattr(gram, "_MANY", many)
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
@pytest.mark.parametrize("waiting", [0, 100_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_nearest_is_brute_forces_however_the_work_is_cut(monkeypatch, case, waiting, dtype):
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


@pytest.mark.parametrize("case", [*CASES, "all alike", "longer than float32 holds", "of the shortest"])
def test_products_in_single_precision_find_the_same_to_the_last_bit(case):
    generator = torch.Generator().manual_seed(0)
    change = CASES.get(case, lambda x: x)
    real, generated = (change(torch.randn(n, 40, generator=generator)) for n in (300, 90))
    if case == "all alike":
        generated = generated[:1] + 1e-5 * generated
    scale = {"longer than float32 holds": 1e20, "of the shortest": 1e-25}.get(case, 1.0)
    real, generated = scale * real, scale * generated
    real[7], generated[3] = 0, 0
    fast = NearestByAngle(generated, real, single=True)
    assert fast.dtype == (torch.float32 if scale == 1 else torch.float64)
    plain = NearestByAngle(generated, real)
    read_pairs(generated, real, plain)
    expected, found = plain.found(), memorization(generated, real)
    assert found.distance == expected.distance
    assert torch.equal(found.nearest, expected.nearest)
    assert torch.equal(found.distances.nan_to_num(-1), expected.distances.nan_to_num(-1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_of_either_precision_lie_within_their_bound(dtype):
    left, right = (torch.randn(n, 1280, generator=torch.Generator().manual_seed(n)) + 0.3 for n in (40, 50))
    blocks = []

    class Reader:
        def read(self, rows, columns, products):
            blocks.append(products)

    read_pairs(left, right, Reader(), dtype=dtype)
    (products,) = blocks
    assert products.dtype == dtype
    x, y = (side.double().numpy().astype(np.longdouble) for side in (left, right))
    lengths = np.sqrt((x**2).sum(1)[:, None] * (y**2).sum(1))
    assert (abs(products.double().numpy() - x @ y.T) <= product_error(1280, dtype) * lengths).all()
