"""The yardsticks of a study: every extractor times every reference, the first pair under the bare names."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.data.settings import DataSettings
from harness.metrics import score_features
from harness.recipes.dcgan.evaluation import Evaluator
from harness.recipes.dcgan.measures import measures
from harness.recipes.dcgan.settings import EvaluateSettings

PIXELS = {
    "square": np.random.default_rng(0).integers(0, 256, (40, 3, 4, 4), dtype=np.uint8),
    "bbox": np.random.default_rng(1).integers(0, 256, (40, 3, 4, 4), dtype=np.uint8),
}
GENERATED = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (30, 3, 4, 4), dtype=np.uint8))


@dataclass
class Prepared:
    images: Any
    fingerprint: str

    @property
    def names(self) -> list[str]:
        return [str(number) for number in range(len(self.images))]


class Flat:
    """Features are the pixels, the second extractor's shifted: no network."""

    dim = 48
    device = torch.device("cpu")

    def __init__(self, name: str) -> None:
        self.name = self.fingerprint = name
        self.shift = 0 if name == "efficientnet-lite0" else 300

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1).float() + self.shift


@pytest.fixture
def evaluator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluator:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setattr("harness.data.prepare", lambda data, **_: Prepared(PIXELS[data.crop], data.crop), raising=False)
    monkeypatch.setattr("harness.recipes.dcgan.evaluation._network", lambda name, *_: Flat(name))
    settings = EvaluateSettings(
        extractors=("efficientnet-lite0", "kaggle-private"), references=("square", "bbox"), tau=0.1
    )
    return Evaluator(settings, {crop: DataSettings(crop=crop) for crop in PIXELS})


def test_the_objective_has_bare_names_and_the_others_say_whose_they_are(evaluator: Evaluator) -> None:
    scores = evaluator.score(evaluator.features(GENERATED), full=False)
    assert set(scores) == {
        f"{metric}{suffix}"
        for metric in ("fid", "mifid", "memorization_distance")
        for suffix in ("", "/efficientnet-lite0/bbox", "/kaggle-private/square", "/kaggle-private/bbox")
    }
    for name, shift, crop in (("fid", 0, "square"), ("fid/kaggle-private/bbox", 300, "bbox")):
        real = torch.from_numpy(PIXELS[crop]).flatten(1).float() + shift
        expected = score_features(real, GENERATED.flatten(1).float() + shift, kid=False, manifold=False).fid
        assert scores[name] == pytest.approx(expected)


def test_a_preset_keeps_its_own_tau(evaluator: Evaluator) -> None:
    assert [yardstick.tau for yardstick in evaluator.yardsticks] == [0.1, 0.1, 0.25, 0.25]
    scores = evaluator.score(evaluator.features(GENERATED), full=False)
    distance = scores["memorization_distance/kaggle-private/bbox"]
    assert distance < 0.25
    assert scores["mifid/kaggle-private/bbox"] == pytest.approx(scores["fid/kaggle-private/bbox"] / distance)


def test_every_number_has_its_fingerprint(evaluator: Evaluator) -> None:
    assert evaluator.facts["yardstick.kaggle-private/bbox"] == "kaggle-private"
    held_out = float(evaluator.facts["memorization_baseline.efficientnet-lite0/square"])
    real = torch.from_numpy(PIXELS["square"]).flatten(1).double()
    unit = real / real.norm(dim=1, keepdim=True)
    assert held_out == pytest.approx(float((1 - unit[1::2] @ unit[::2].T).min(dim=1).values.mean()), abs=6e-5)
    assert evaluator.facts["reference.bbox.fingerprint"] == "bbox"
    assert evaluator.facts["mind"] == "1000 directions, RandomState(0)"
    assert len(evaluator.facts) == 2 + 2 * 4 + 1


def test_the_closest_images_are_those_that_were_copied_from_the_reference(evaluator: Evaluator) -> None:
    images = GENERATED.clone()
    images[7] = torch.from_numpy(PIXELS["square"][3])
    images[2] = torch.from_numpy(PIXELS["square"][31])
    found = evaluator.closest(images, evaluator.features(images), 2)
    assert found.distances == pytest.approx([0, 0], abs=1e-12)
    assert torch.equal(found.generated, images[[2, 7]])
    assert torch.equal(found.real, torch.from_numpy(PIXELS["square"][[31, 3]]))
    assert len(evaluator.closest(images, evaluator.features(images), 1000).distances) == len(images)


def test_a_window_is_part_of_what_a_number_was_measured_with(evaluator: Evaluator) -> None:
    assert "yardstick.window" not in evaluator.facts
    evaluator.evaluate = evaluator.evaluate.model_copy(update={"times": 12, "window": 0.5})
    assert evaluator.facts["yardstick.window"] == "mean of the last 6 of 12 scores"


def test_mind_is_scored_once_at_the_end_under_every_yardstick(evaluator: Evaluator) -> None:
    names = [
        f"mind{suffix}" for suffix in ("", "/efficientnet-lite0/bbox", "/kaggle-private/square", "/kaggle-private/bbox")
    ]
    assert not set(names) & set(evaluator.score(evaluator.features(GENERATED), full=False))
    scores = evaluator.score(evaluator.features(GENERATED))
    assert set(names) <= set(scores)
    real, generated = (pixels.flatten(1).double().numpy() for pixels in (torch.from_numpy(PIXELS["bbox"]), GENERATED))
    count = math.lcm(len(real), len(generated))
    real, generated = (side.repeat(count // len(side), axis=0) for side in (real, generated))
    along = np.random.RandomState(0).standard_normal((1000, real.shape[1]))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    apart = np.mean([((np.sort(real @ u) - np.sort(generated @ u)) ** 2).mean() for u in along])
    assert scores["mind/efficientnet-lite0/bbox"] == pytest.approx(3 * real.shape[1] * apart, rel=1e-6)


def test_mind_is_a_measure_that_is_better_lower_and_no_yardstick_of_the_objective() -> None:
    (mind,) = (each for each in measures(EvaluateSettings()) if each.name == "mind")
    assert mind.better == "lower"
    assert mind.yardstick_of == mind.part_of == ""
