"""Photos on disk become training images once; what cannot be used is listed, or refused with its remedy."""

from __future__ import annotations

import io
import multiprocessing
import os
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.data import check, prepare
from harness.data.annotations import BadAnnotation, read_boxes
from harness.data.crops import Box
from harness.data.prepared import decode_smaller
from harness.data.settings import DataSettings
from harness.data.synthetic import draw_photo, synthesize
from harness.errors import DataError
from harness.files.images import in_rgb, opened

ROOT = Path(__file__).resolve().parents[2]
DOGS = Path(os.environ.get("HARNESS_DOGS", ROOT / ".." / "shared" / "data" / "stanford-dogs"))
BOX = (
    "<annotation><object><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
    "</annotation>"
)


def photo(root: Path, name: str, *, annotation: str | None = BOX.format(10, 10, 50, 40), colour: str = "red") -> Path:
    path = root / "Images" / "n1-dog" / f"{name}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (100, 80), colour).save(path)
    notes = root / "Annotation" / "n1-dog"
    notes.mkdir(parents=True, exist_ok=True)
    if annotation is not None:
        (notes / name).write_text(annotation)
    return path


def dogs(root: Path, **more: object) -> DataSettings:
    return DataSettings(source="stanford-dogs", root=root, size=32, **more)  # type: ignore[arg-type]


def test_the_pixels_are_pillows_lanczos_of_the_crop(tmp_path: Path) -> None:
    path = photo(tmp_path, "a")
    noise = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path.with_suffix(".png"))
    path.unlink()
    prepared = prepare(dogs(tmp_path, crop="bbox"), cache=tmp_path / "cache")
    expected = Image.fromarray(noise[10:40, 10:50])
    whole = Image.fromarray(noise).resize((32, 32), Image.Resampling.LANCZOS, box=(10, 10, 50, 40))
    assert expected.size == (40, 30)
    assert np.array_equal(prepared.images[0], np.asarray(whole).transpose(2, 0, 1))


def waves(width: int, height: int) -> Image.Image:
    """Every place has a colour of its own, which changes slowly."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    parts = (x / width, y / height, 0.5 + 0.5 * np.sin(0.02 * x + 0.01 * y))
    return Image.fromarray((255 * np.stack(parts, axis=2)).round().astype(np.uint8))


@pytest.mark.parametrize(("width", "height"), [(400, 300), (403, 301), (517, 389), (1000, 750)])
@pytest.mark.parametrize("box", [(10, 10, 50, 42), (10, 10, 150, 140), (67, 31, 350, 297), (0, 0, 400, 300)])
def test_a_jpeg_that_is_decoded_smaller_gives_the_same_part_of_the_photo(
    tmp_path: Path, width: int, height: int, box: tuple[int, int, int, int]
) -> None:
    path = photo(tmp_path, "a", annotation=BOX.format(*box))
    waves(width, height).save(path, quality=100, subsampling=0)
    (found,) = prepare(dogs(tmp_path, crop="bbox"), cache=tmp_path / "cache").images
    with Image.open(path) as whole:
        plain = np.asarray(whole.resize((32, 32), Image.Resampling.LANCZOS, box=box)).transpose(2, 0, 1)
    difference = found.astype(int) - plain
    assert abs(difference).max() <= 3
    assert abs(difference).mean() < 0.6
    # An eighth of a pixel to one side would show where colours change by some levels a pixel.
    slope = np.gradient(plain.astype(float), axis=2)[2]
    assert abs((difference[2] * slope).sum() / (slope**2).sum()) < 0.125


@pytest.mark.parametrize(
    ("areas", "smaller"),
    [
        ([Box(0, 0, 400, 300)], 8),
        ([Box(0, 0, 255, 300)], 4),
        ([Box(0, 0, 400, 300), Box(5, 5, 69, 140)], 2),
        ([Box(0, 0, 400, 300), Box(5, 5, 68, 140)], 1),
        ([], 1),
    ],
)
def test_a_jpeg_is_decoded_as_small_as_leaves_every_crop_its_pixels(areas: list[Box], smaller: int) -> None:
    for kind in ("JPEG", "PNG"):
        file = io.BytesIO()
        waves(403, 301).save(file, format=kind)
        file.seek(0)
        with opened(file) as image:
            assert decode_smaller(image, areas, 32) == (smaller if kind == "JPEG" else 1)
            decoded = in_rgb(image)
        assert decoded.mode == "RGB"
        by = smaller if kind == "JPEG" else 1
        assert decoded.size == (-(-403 // by), -(-301 // by))
        assert all(min(area.width, area.height) >= 32 * by for area in areas if by > 1)


def test_grey_and_cmyk_jpegs_are_decoded_smaller_too(tmp_path: Path) -> None:
    for mode in ("L", "CMYK"):
        path = photo(tmp_path, mode, annotation=BOX.format(0, 0, 400, 300))
        waves(400, 300).convert(mode).save(path, quality=95)
    found = prepare(dogs(tmp_path, crop="bbox"), cache=tmp_path / "cache").images
    for image, name in zip(found, ("CMYK", "L"), strict=True):
        whole = Image.open(tmp_path / "Images" / "n1-dog" / f"{name}.jpg").convert("RGB")
        plain = np.asarray(whole.resize((32, 32), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
        assert abs(image.astype(int) - plain).mean() < 1.5


def test_unusable_photos_are_listed_with_their_reason(tmp_path: Path) -> None:
    for index in range(4):
        photo(tmp_path, f"good{index}")
    truncated = photo(tmp_path, "truncated")
    truncated.write_bytes(truncated.read_bytes()[:400])
    photo(tmp_path, "boxless", annotation="<annotation></annotation>")
    photo(tmp_path, "outside", annotation=BOX.format(10, 10, 500, 40))
    photo(tmp_path, "empty", annotation=BOX.format(50, 10, 50, 40))
    photo(tmp_path, "words", annotation=BOX.format("a", 1, 2, 3))
    photo(tmp_path, "broken", annotation="<annotation>")
    photo(tmp_path, "bomb", annotation='<!DOCTYPE x [<!ENTITY a "a">]><annotation/>')
    photo(tmp_path, "alone", annotation=None)
    prepared = prepare(dogs(tmp_path, max_skipped=1.0), cache=tmp_path / "cache")
    assert len(prepared.images) == 4
    reasons = {Path(entry.path).stem: entry.reason for entry in prepared.skipped}
    assert "unreadable image" in reasons["truncated"]
    assert reasons["boxless"] == "annotation has no box"
    assert "leaves the image of 100x80" in reasons["outside"]
    assert "is empty" in reasons["empty"]
    assert "not a number" in reasons["words"]
    assert "not XML" in reasons["broken"]
    assert "entities" in reasons["bomb"]
    assert "no annotation" in reasons["alone"]


def test_more_unusable_photos_than_allowed_are_refused_with_the_first_of_them(tmp_path: Path) -> None:
    for index in range(4):
        photo(tmp_path, f"good{index}")
    photo(tmp_path, "boxless", annotation="<annotation/>")
    with pytest.raises(DataError, match=r"1 of 5 photos .*data.max_skipped=0.05.*boxless.jpg: annotation has no box"):
        prepare(dogs(tmp_path), cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "stanford-dogs"}, "data.root: not set"),
        ({"source": "stanford-dogs", "root": "nowhere"}, "'nowhere' is no folder"),
        ({"source": "stanford-dogs", "root": "."}, "no folder Images/"),
        ({"source": "folder", "root": ".", "crop": "resize"}, "holds no images"),
        ({"source": "folder", "root": ".", "crop": "square"}, "needs boxes.*allowed: resize"),
    ],
)
def test_data_that_cannot_be_there_is_refused_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        check(DataSettings(**settings))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_boxes_gives_its_images_whole(tmp_path: Path) -> None:
    for index in range(3):
        Image.new("RGB", (40 + index, 50), "blue").save(tmp_path / f"{index}.png")
    prepared = prepare(DataSettings(source="folder", root=tmp_path, crop="resize", size=32), cache=tmp_path / "cache")
    assert prepared.images.shape == (3, 3, 32, 32)


def test_crop_all_groups_the_crops_of_a_photo(tmp_path: Path) -> None:
    for index in range(3):
        photo(tmp_path, f"{index}")
    prepared = prepare(dogs(tmp_path, crop="all"), cache=tmp_path / "cache")
    assert prepared.groups.tolist() == [0, 4, 8, 12]
    single = prepare(dogs(tmp_path, crop="square"), cache=tmp_path / "cache")
    assert single.groups.tolist() == [0, 1, 2, 3]


def test_a_changed_photo_is_another_data_set(tmp_path: Path) -> None:
    photo(tmp_path, "a")
    first = prepare(dogs(tmp_path), cache=tmp_path / "cache")
    photo(tmp_path, "a", colour="green")
    second = prepare(dogs(tmp_path), cache=tmp_path / "cache")
    assert first.fingerprint != second.fingerprint
    assert not np.array_equal(first.images, second.images)


def test_a_damaged_cache_entry_is_made_anew(tmp_path: Path) -> None:
    photo(tmp_path, "a")
    first = prepare(dogs(tmp_path), cache=tmp_path / "cache")
    pixels = np.array(first.images)
    (stored,) = (tmp_path / "cache").glob("prepared/*/images.npy")
    content = bytearray(stored.read_bytes())
    content[-1] ^= 255
    stored.write_bytes(content)
    assert np.array_equal(prepare(dogs(tmp_path), cache=tmp_path / "cache").images, pixels)


def test_every_bit_that_turns_in_the_cache_is_noticed_and_said(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        photo(tmp_path, name)
    photo(tmp_path, "d", annotation="not XML")
    settings, said, draw = dogs(tmp_path, max_skipped=0.5), list[str](), random.Random(0)
    first = prepare(settings, cache=tmp_path / "cache", note=said.append)
    pixels = np.array(first.images)  # the others are those of the file
    assert not said
    (folder,) = (tmp_path / "cache" / "prepared").iterdir()
    for name in ("images.npy", "groups.npy", "about.json"):
        size = (folder / name).stat().st_size
        for at in draw.sample(range(size), min(60, size)):
            content = bytearray((folder / name).read_bytes())
            content[at] ^= 1 << draw.randrange(8)
            (folder / name).write_bytes(content)
            again = prepare(settings, cache=tmp_path / "cache", note=said.append)
            assert (
                said.pop() == f"the prepared data in {folder} are damaged, or of an earlier version: they are made anew"
            )
            assert np.array_equal(again.images, pixels)
            assert np.array_equal(again.groups, first.groups)
            assert (again.names, again.skipped) == (first.names, first.skipped)
    prepare(settings, cache=tmp_path / "cache", note=said.append)
    assert not said


@pytest.mark.parametrize("content", ["[]", "{}", "null", "[" * 100_000, '{"digest": [], "identity": {}}', "\ufeff{}"])
def test_what_a_cache_says_of_itself_may_be_anything_and_it_is_made_anew(content: str, tmp_path: Path) -> None:
    photo(tmp_path, "a")
    pixels = np.array(prepare(dogs(tmp_path), cache=tmp_path / "cache").images)
    (about,) = (tmp_path / "cache").glob("prepared/*/about.json")
    about.write_text(content)
    assert np.array_equal(prepare(dogs(tmp_path), cache=tmp_path / "cache").images, pixels)


def test_drawn_photos_in_which_a_bit_turned_are_drawn_anew_and_stay_the_same_data(tmp_path: Path) -> None:
    settings, said = DataSettings(count=16, size=32), list[str]()
    first = prepare(settings, cache=tmp_path, note=said.append)
    (folder,) = (tmp_path / "synthetic").iterdir()
    for path in sorted(folder.rglob("*"))[-3:]:
        if path.is_file():
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 4
            path.write_bytes(content)
            assert prepare(settings, cache=tmp_path, note=said.append).fingerprint == first.fingerprint
            assert (
                said.pop() == f"the drawn photos in {folder} are damaged, or of an earlier version: they are drawn anew"
            )
    assert not said


def _prepare(root: Path, start: object, results: object) -> None:
    start.wait(30)  # type: ignore[attr-defined]
    results.put(prepare(dogs(root), cache=root / "cache").images[:].sum())  # type: ignore[attr-defined]


def test_two_processes_may_prepare_the_same_at_once(tmp_path: Path) -> None:
    for index in range(20):
        photo(tmp_path, f"{index}")
    context = multiprocessing.get_context("fork")
    start, results = context.Event(), context.Queue()
    both = [context.Process(target=_prepare, args=(tmp_path, start, results)) for _ in range(2)]
    for process in both:
        process.start()
    start.set()
    assert results.get(timeout=30) == results.get(timeout=30)
    for process in both:
        process.join(30)
    assert len(list((tmp_path / "cache" / "prepared").iterdir())) == 1


def test_limit_spreads_over_the_classes(tmp_path: Path) -> None:
    for breed in ("n1-a", "n2-b"):
        for index in range(20):
            path = tmp_path / "Images" / breed / f"{index}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (30, 30)).save(path)
    (tmp_path / "Annotation").mkdir()
    prepared = prepare(dogs(tmp_path, crop="resize", limit=16), cache=tmp_path / "cache")
    assert sum(name.startswith("n1") for name in prepared.names) == 8


# ---------------------------------------------------------------------- drawn dogs


def test_a_drawn_photo_depends_on_its_seed_and_index_alone() -> None:
    one, again, other = draw_photo(3, 7), draw_photo(3, 7), draw_photo(4, 7)
    assert one.image.tobytes() == again.image.tobytes()
    assert one.boxes == again.boxes
    assert one.image.tobytes() != other.image.tobytes()


def test_boxes_of_drawn_dogs_lie_within_the_photo_and_hold_what_differs() -> None:
    for index in range(40):
        drawn = draw_photo(0, index)
        width, height = drawn.image.size
        for box in drawn.boxes:
            assert 0 <= box.xmin < box.xmax <= width
            assert 0 <= box.ymin < box.ymax <= height
            assert box.width * box.height > 0.02 * width * height


def test_drawn_dogs_read_back_as_stanford_dogs(tmp_path: Path) -> None:
    synthesize(tmp_path, count=16, seed=1)
    photos = sorted((tmp_path / "Images").rglob("*.jpg"))
    assert len(photos) == 16
    for path in photos:
        with Image.open(path) as image:
            annotation = tmp_path / "Annotation" / path.relative_to(tmp_path / "Images").with_suffix("")
            assert read_boxes(annotation, image.size)
    assert len(prepare(dogs(tmp_path), cache=tmp_path / "cache").images) >= 16


def test_an_annotation_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadAnnotation, match="no annotation"):
        read_boxes(tmp_path / "nothing", (10, 10))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOX.format("1e400", 1, 2, 3), "a corner that is not a number"),
        (BOX.format("nan", 1, 2, 3), "a corner that is not a number"),
        (BOX.format("9" * 5000, 1, 2, 3), "a corner that is not a number"),
        ("<a>" * 100_000, "not XML"),
        ("<a>" * 100_000 + "</a>" * 100_000, "no box"),
        ("<a>" * 200_000 + "</a>" * 200_000, "more than 1,048,576 bytes"),
    ],
    ids=["infinite", "nan", "long number", "open", "deep", "large"],
)
def test_an_annotation_beyond_all_bounds_is_refused_with_its_reason(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "note").write_text(text)
    with pytest.raises(BadAnnotation, match=reason):
        read_boxes(tmp_path / "note", (100, 80))


def test_a_pipe_among_the_annotations_is_skipped_and_not_waited_for(tmp_path: Path) -> None:
    photo(tmp_path, "good")
    photo(tmp_path, "piped", annotation=None)
    os.mkfifo(tmp_path / "Annotation" / "n1-dog" / "piped")
    os.mkfifo(tmp_path / "Images" / "n1-dog" / "pipe.jpg")
    prepared = prepare(dogs(tmp_path, max_skipped=1.0), cache=tmp_path / "cache")
    assert [(Path(each.path).stem, each.reason) for each in prepared.skipped] == [("piped", "annotation is no file")]


# ---------------------------------------------------------------------- real photos


@pytest.mark.skipif(not DOGS.is_dir(), reason=f"no real photos at {DOGS}; set HARNESS_DOGS to a Stanford Dogs folder")
@pytest.mark.parametrize("crop", ["square", "all", "resize"])
def test_real_photos_are_all_usable(crop: str) -> None:
    prepared = prepare(DataSettings(source="stanford-dogs", root=DOGS, crop=crop, size=32, limit=240))
    assert len(prepared.groups) - 1 >= 240
    assert len(prepared.skipped) == 0


def test_every_fifth_photo_is_held_out_and_no_image_is_on_both_sides(tmp_path: Path) -> None:
    for number in range(23):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number:02}.png")
    names = {}
    for split in ("all", "train", "held-out"):
        settings = DataSettings(source="folder", root=tmp_path, crop="resize", size=32, split=split)
        names[split] = prepare(settings, cache=tmp_path / "cache").names
    assert names["held-out"] == ["04.png", "09.png", "14.png", "19.png"]
    assert sorted(names["train"] + names["held-out"]) == names["all"]
    assert len(names["all"]) == 23
