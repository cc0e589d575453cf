"""The reference cache: computed once, shared, and rebuilt when it is not what was written."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.metrics import score_features
from harness.metrics.reference import reference


@dataclass
class Prepared:
    images: np.ndarray
    fingerprint: str = "photos"

    @property
    def names(self) -> list[str]:
        return [str(number) for number in range(len(self.images))]


class Means:
    """A tiny extractor that counts its calls."""

    name = "means"
    dim = 12
    device = torch.device("cpu")

    def __init__(self, fingerprint: str = "means; dim 12") -> None:
        self.fingerprint = fingerprint
        self.calls = 0

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return torch.nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)


@pytest.fixture
def photos() -> Prepared:
    return Prepared(np.random.default_rng(0).integers(0, 256, (60, 3, 8, 8), dtype=np.uint8))


def entry(cache):
    (folder,) = [path for path in cache.iterdir() if not path.name.startswith(".")]
    return folder


def test_a_second_reference_comes_from_the_cache_and_scores_the_same(tmp_path, photos):
    extractor = Means()
    first = reference(photos, extractor, cache=tmp_path)
    second = reference(photos, extractor, cache=tmp_path)
    assert extractor.calls == 1
    generated = extractor(torch.from_numpy(photos.images[:20] // 2))
    plain = score_features(extractor(torch.from_numpy(photos.images)), generated, tau=0.3)
    for found in (first, second):
        scores = found.score(generated, tau=0.3)
        assert scores.numbers() == pytest.approx(plain.numbers(), rel=1e-9)
        assert scores.nearest.tolist() == plain.nearest.tolist()
    assert [path.name for path in tmp_path.iterdir()] == [entry(tmp_path).name]
    fitted = second.moments
    assert torch.allclose(fitted.factor @ fitted.factor.T, fitted.cov)


def test_the_baseline_is_the_distance_of_odd_rows_from_even_ones_and_is_kept(tmp_path, photos):
    first = reference(photos, Means(), cache=tmp_path)
    unit = torch.nn.functional.normalize(first.features.double(), dim=1)
    expected = (1 - (unit[1::2] @ unit[::2].T).abs()).min(dim=1).values.mean()
    assert first.memorization_baseline == pytest.approx(float(expected), rel=1e-9)
    again = reference(photos, Means(), cache=tmp_path)
    assert "memorization_baseline" in vars(again)
    assert again.memorization_baseline == first.memorization_baseline


def test_other_data_or_another_extractor_has_an_entry_of_its_own(tmp_path, photos):
    first = reference(photos, Means(), cache=tmp_path)
    other = reference(Prepared(photos.images, "others"), Means(), cache=tmp_path)
    third = reference(photos, Means("means; bf16"), cache=tmp_path)
    assert len({first.fingerprint, other.fingerprint, third.fingerprint}) == 3
    assert len(list(tmp_path.iterdir())) == 3


def truncate(folder):
    path = folder / "features.npy"
    path.write_bytes(path.read_bytes()[:-7])


def flip(folder):
    path = folder / "cov.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def pickle(folder):
    np.save(folder / "mean.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def empty(folder):
    for path in folder.iterdir():
        path.unlink()


def foreign(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"fingerprint": "0" * 64}))


def garble(folder):
    (folder / "manifest.json").write_bytes(b"\xff\x00")


def listed(folder):
    (folder / "manifest.json").write_text("[]")


def baseline(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    other = manifest | {"memorization_baseline": manifest["memorization_baseline"] * 2}
    (folder / "manifest.json").write_text(json.dumps(other))


def renamed(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"names": [*manifest["names"], "another"]}))


def deep(folder):
    (folder / "manifest.json").write_text("[" * 100_000)


@pytest.mark.parametrize("damage", [truncate, flip, pickle, empty, foreign, garble, listed, baseline, renamed, deep])
def test_a_damaged_or_foreign_entry_is_rebuilt(tmp_path, photos, damage):
    extractor = Means()
    before = reference(photos, extractor, cache=tmp_path)
    damage(entry(tmp_path))
    said = []
    after = reference(photos, extractor, cache=tmp_path, note=said.append)
    assert extractor.calls == 2
    assert torch.equal(before.features, after.features)
    assert said == [f"the reference features in {entry(tmp_path)} are damaged: they are computed anew"]
    reference(photos, extractor, cache=tmp_path)
    assert extractor.calls == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_writing_into_the_loaded_tensors_does_not_reach_the_file(tmp_path, photos):
    extractor = Means()
    reference(photos, extractor, cache=tmp_path)
    reference(photos, extractor, cache=tmp_path).features.zero_()
    assert reference(photos, extractor, cache=tmp_path).features.abs().sum() > 0
    assert extractor.calls == 1


def test_the_default_cache_is_under_the_harness_cache(tmp_path, photos, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    reference(photos, Means())
    assert len(list((tmp_path / "references").iterdir())) == 1


def test_the_baseline_holds_crops_of_one_photo_on_one_side(tmp_path: Path) -> None:
    from harness.metrics.scores import RealSide

    rows = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    side = RealSide(rows.repeat_interleave(2, dim=0))  # two crops, alike, of every photo
    assert side.memorization_baseline == pytest.approx(0, abs=1e-6)
    side = RealSide(rows.repeat_interleave(2, dim=0), [f"photo {row // 2}" for row in range(40)])
    assert side.memorization_baseline == pytest.approx(RealSide(rows).memorization_baseline)


def test_a_reference_that_cannot_be_kept_is_used_all_the_same(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (12, 3, 8, 8), dtype=np.uint8)
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="the reference is not kept: the cache folder .* set HARNESS_CACHE"):
        found = reference(Prepared(images), Means(), cache=tmp_path / "file" / "references")
    assert len(found.features) == 12
