"""FID, MiFID and MIND order damages of real photos as an eye does, under extractors that need no download."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest
import torch

from harness.metrics import Scores

NAMES = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite0@64")
REPOSITORY = Path(__file__).resolve().parents[2]
DOGS = Path(os.environ.get("HARNESS_DOGS") or REPOSITORY / ".." / "shared/data/stanford-dogs")


@pytest.fixture(scope="module")
def damages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("damages", REPOSITORY / "benchmarks" / "damages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scores(damages: ModuleType) -> dict[str, dict[str, Scores]]:
    if not (DOGS / "Images").is_dir():
        pytest.skip(f"no photos at {DOGS}; set HARNESS_DOGS to a folder in the layout of Stanford Dogs")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = damages.scores(DOGS, count=120, extractors=NAMES)
        return {name: measured.scores for name, measured in found.items()}
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("metric", ["fid", "mifid", "mind"])
@pytest.mark.slow
def test_each_damage_scores_worse_the_stronger_it_is(
    damages: ModuleType, scores: dict[str, dict[str, Scores]], name: str, metric: str
) -> None:
    sound = getattr(scores[name]["the other half"], metric)
    for kind, degrees in damages.DAMAGES.items():
        values = [getattr(scores[name][f"{kind}, {degree}"], metric) for degree in degrees]
        # The mildest are hardly to be seen: they may pass for sound, within what 120 images can tell.
        assert values[0] > 0.95 * sound
        assert values == sorted(values), f"{kind}: {values}"
        assert values[-1] > 1.3 * sound, kind


@pytest.mark.parametrize("name", NAMES)
def test_drawn_dogs_are_farther_from_photos_than_other_photos_are(
    scores: dict[str, dict[str, Scores]], name: str
) -> None:
    assert scores[name]["drawn dogs"].fid > 1.5 * scores[name]["the other half"].fid


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_of_the_reference_has_no_distance_and_is_penalised(
    scores: dict[str, dict[str, Scores]], name: str
) -> None:
    copy, other = scores[name]["the reference itself"], scores[name]["the other half"]
    assert copy.fid < 1e-3 * other.fid
    assert copy.memorization_distance < 1e-6 < 0.1 * other.memorization_distance
