"""Images of folders and zips: read one by one, broken ones listed, each resized by the extractor's own rule."""

from __future__ import annotations

import contextlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from harness.errors import DataError
from harness.metrics import folders
from harness.metrics.folders import ImageFiles, features_of


class Means:
    """An extractor whose features are the mean of each channel and the image's size: no network."""

    name = "means"
    dim = 5
    fingerprint = "means"
    device = torch.device("cpu")

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        assert images.dtype == torch.uint8
        count, _, height, width = images.shape
        size = torch.tensor([[height, width]]).expand(count, 2)
        return torch.cat([images.double().mean(dim=(2, 3)), size], dim=1).float()


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
        for path in sorted(folder.iterdir()):
            archive.write(path, f"../{path.name}")
        archive.writestr("__MACOSX/._0.png", b"x")
        archive.writestr("read.me", b"no image")
    return target


def test_a_zip_reads_as_its_folder_and_unpacks_nothing(folder: Path) -> None:
    before = sorted(folder.parent.iterdir())
    target = zipped(folder)
    assert torch.equal(
        features_of(ImageFiles(target), Means()).features, features_of(ImageFiles(folder), Means()).features
    )
    assert sorted(folder.parent.iterdir()) == sorted([*before, target])


def test_every_image_comes_in_its_own_size_and_in_the_order_of_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_WINDOW", 4)  # so that the seven files take two windows
    Image.new("RGB", (8, 4), (10, 20, 30)).save(folder / "1b.png")
    found = features_of(ImageFiles(folder), Means())
    assert found.names == ["0.png", "1.png", "1b.png", "2.png", "3.png", "4.png", "5.png"]
    assert found.features[2].tolist() == [10, 20, 30, 4, 8]
    assert found.sizes == {(16, 16): 6, (8, 4): 1}
    for row, name in zip(found.features, found.names, strict=True):
        pixels = np.asarray(Image.open(folder / name), dtype=float)
        assert np.allclose(row[:3], pixels.mean(axis=(0, 1)), rtol=1e-5)


def test_broken_images_are_listed_with_the_reason(folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"no image")
    whole = (folder / "0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    done: list[int] = []
    found = features_of(ImageFiles(folder), Means(), done.append)
    assert len(found.features) == 6
    assert [name for name, _ in found.skipped] == ["broken.png", "cut.png"]
    assert all(reason for _, reason in found.skipped)
    assert sum(done) == 8


def test_grey_and_transparent_images_are_read_as_rgb(folder: Path) -> None:
    Image.new("L", (16, 16), 77).save(folder / "grey.png")
    Image.new("RGBA", (16, 16), (1, 2, 3, 4)).save(folder / "transparent.png")
    found = features_of(ImageFiles(folder), Means())
    assert found.features[-2:, :3].tolist() == [[77, 77, 77], [1, 2, 3]]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "no such folder or zip"),
        ("text.txt", "neither a folder nor a zip"),
        ("pipe", "neither a folder nor a zip"),
        ("empty", "holds no image"),
    ],
)
def test_what_holds_no_images_is_refused_by_name(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "text.txt").write_text("no zip")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=f"{name}.*{said}"):
        ImageFiles(tmp_path / name)


def test_a_single_image_is_too_few(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "one.png")
    (tmp_path / "two.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1 readable image.*two\.png"):
        features_of(ImageFiles(tmp_path), Means())


def test_a_zip_of_huge_members_is_refused_before_any_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_MOST_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", b"0" * 1001)
    with pytest.raises(DataError, match=r"bomb\.zip: a\.png would take 1,001 bytes"):
        ImageFiles(tmp_path / "bomb.zip")


def test_the_digest_tells_other_content_and_other_names(folder: Path) -> None:
    first = ImageFiles(folder).digest()
    assert ImageFiles(folder).digest() == first
    (folder / "0.png").rename(folder / "9.png")
    renamed = ImageFiles(folder).digest()
    (folder / "9.png").write_bytes((folder / "1.png").read_bytes())
    assert len({first, renamed, ImageFiles(folder).digest()}) == 3


def test_a_name_that_is_not_utf8_is_a_name_like_others(folder: Path) -> None:
    before = ImageFiles(folder).digest()
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes((folder / ImageFiles(folder).names[0]).read_bytes())
    assert ImageFiles(folder).digest() != before


def test_grey_of_16_bits_is_listed_and_not_read_as_white(folder: Path) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(folder / "deep.png")
    with pytest.raises(ValueError, match="more than 8 bits a channel"):
        ImageFiles(folder).pixels("deep.png")


def test_no_flipped_byte_of_a_zip_ends_in_anything_but_a_refusal(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "deflated.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(folder.glob("*.png"))[:2]:
            archive.write(name, name.name)
    sound = path.read_bytes()
    for position in range(0, len(sound), max(1, len(sound) // 200)):
        damaged = bytearray(sound)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            files = ImageFiles(path)
        except DataError:
            continue
        for name in files.names:
            with contextlib.suppress(OSError, ValueError):
                files.pixels(name)


def test_a_name_that_its_zip_says_is_utf8_and_is_not_makes_a_damaged_zip(folder: Path) -> None:
    content = zipped(folder).read_bytes().replace(b"../0.png", b"../\xff.png")
    at = content.index(b"PK\x01\x02")
    damaged = bytearray(content)
    damaged[at + 8 : at + 10] = (0x800).to_bytes(2, "little")  # its names are UTF-8
    (folder.parent / "damaged.zip").write_bytes(damaged)
    with pytest.raises(DataError, match="damaged zip"):
        ImageFiles(folder.parent / "damaged.zip")


def test_a_member_whose_own_header_has_another_name_in_no_encoding_is_unreadable(folder: Path) -> None:
    content = bytearray(zipped(folder).read_bytes())
    content[6:8] = (0x800).to_bytes(2, "little")
    content[30] = 0xFF
    (folder.parent / "damaged.zip").write_bytes(content)
    files = ImageFiles(folder.parent / "damaged.zip")
    with pytest.raises(OSError, match="not to be read"):
        files.content("../0.png")
    assert files.digest() != ImageFiles(zipped(folder)).digest()


def test_a_zip_that_says_it_goes_on_on_other_disks_is_a_damaged_one(folder: Path) -> None:
    content = zipped(folder).read_bytes()
    at = content.rindex(b"PK\x05\x06")
    more = b"PK\x06\x07" + (1).to_bytes(4, "little") + bytes(8) + (2).to_bytes(4, "little")
    (folder.parent / "damaged.zip").write_bytes(content[:at] + more + content[at:])
    with pytest.raises(DataError, match="damaged zip"):
        ImageFiles(folder.parent / "damaged.zip")


def test_a_zip_that_unpacks_to_far_more_than_images_do_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_MOST_UNPACKED", 2**20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_BZIP2) as archive:
        for index in range(4):
            archive.writestr(f"{index}.bmp", bytes(2**20))
    with pytest.raises(DataError, match="would take 4,194,304 bytes, more than 100 times"):
        ImageFiles(tmp_path / "bomb.zip")
