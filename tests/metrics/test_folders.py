"""Folders and zips of images give the same scores, and what cannot be read is refused or listed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.errors import DataError
from harness.metrics.folders import read_images, score_folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for index in range(6):
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(tmp_path / f"images/{index}.png")
    return tmp_path / "images"


def zipped(folder: Path) -> Path:
    target = folder.parent / "images.zip"
    with zipfile.ZipFile(target, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"../{path.name}")
        archive.writestr("__MACOSX/._0.png", b"x")
    return target


def test_a_zip_reads_as_its_folder_and_unpacks_nothing(folder: Path) -> None:
    before = sorted(folder.parent.iterdir())
    target = zipped(folder)
    assert np.array_equal(read_images(target).pixels, read_images(folder).pixels)
    assert sorted(folder.parent.iterdir()) == sorted([*before, target])


def test_broken_images_are_listed_and_odd_sizes_resized(folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"no image")
    Image.new("RGB", (8, 8)).save(folder / "odd.png")
    found = read_images(folder)
    assert found.pixels.shape == (7, 3, 16, 16)
    assert [name for name, _ in found.skipped] == ["broken.png"]
    assert found.resized == 1


@pytest.mark.parametrize("name", ["nowhere", "text.txt", "empty"])
def test_what_holds_no_images_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.txt").write_text("no zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=name):
        read_images(tmp_path / name)


def test_a_set_scored_against_itself_is_a_copy(folder: Path) -> None:
    scores = score_folders(folder, folder, extractors=["efficientnet-lite0"], tau=0.1)["efficientnet-lite0"]
    assert abs(scores.fid) < 1e-4
    assert scores.memorization_distance < 1e-5
