"""Training images, cropped and resized once into a content-addressed cache and mapped from there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from harness.data import synthetic
from harness.data.annotations import BadAnnotation, read_boxes
from harness.data.crops import CROPS, CUTS, NEEDS_BOX, Box, Size
from harness.data.settings import DataSettings
from harness.data.sources import SOURCES, Photo, check, fingerprint, photos
from harness.errors import DataError
from harness.files.caching import filled
from harness.files.images import in_rgb, opened
from harness.settings import cache_folder

_VERSION = 2  # of the cache's layout and of what the crops mean; part of every fingerprint
_PART = 16  # photos that a thread takes at a time


@dataclass(frozen=True)
class Skipped:
    """A photo that gave no image, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Prepared:
    """A data set, ready to train on.

    images: uint8 [N, 3, size, size], memory-mapped. groups: int64 [G + 1]; group g is images[groups[g]:groups[g + 1]],
    of which one is drawn per access: a photo's crops for crop `all`, else a single image. fingerprint: of photos, crop
    and size. names: one per image. skipped: photos that gave none.
    """

    images: np.ndarray[Any, np.dtype[np.uint8]]
    groups: np.ndarray[Any, np.dtype[np.int64]]
    fingerprint: str
    names: list[str]
    skipped: list[Skipped]


def prepare(
    settings: DataSettings,
    *,
    cache: Path | None = None,
    workers: int = 1,
    note: Callable[[str], None] = lambda text: None,
) -> Prepared:
    """The prepared data of `settings`, made where the cache has it not. Raises DataError and CacheError.

    Two processes may prepare the same at once: each writes a folder of its own, and the first to finish is kept. All
    bytes of the cache are checked at each opening (0.1 s for the 147 MB of 12,000 images of 64 px, more where others
    compute too); `note` is told where they are damaged and made anew.
    """
    check(settings)
    cache = cache or cache_folder()
    root = settings.root
    if SOURCES[settings.source].drawn:
        root = synthetic.drawn(
            cache / "synthetic", count=settings.count, seed=settings.seed, workers=workers, note=note
        )
    found = photos(settings, root)
    facts = [_VERSION, fingerprint(found), settings.crop, settings.size]
    identity = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    folder = cache / "prepared" / identity[:24]
    ready = _open(folder, identity)
    if ready is None and folder.exists():
        note(f"the prepared data in {folder} are damaged, or of an earlier version: they are made anew")
    for _ in range(3):  # again where another process took it for the damaged one that it replaced
        if ready is None:
            _make(settings, found, folder, identity, workers)
            ready = _open(folder, identity)
    assert ready is not None, f"{folder} was just written"
    if len(ready.skipped) > settings.max_skipped * len(found):
        first = ready.skipped[0]
        raise DataError(
            f"data.root: {len(ready.skipped)} of {len(found)} photos give no image, more than data.max_skipped="
            f"{settings.max_skipped:g} allows; the first is {first.path}: {first.reason}; mend or remove them "
            "(harness data prepare lists them), or raise data.max_skipped"
        )
    return ready


def _open(folder: Path, identity: str) -> Prepared | None:
    """What the cache holds, or None where that is nothing, or damaged."""
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        given = about.pop("digest")
        if about["identity"] != identity or given != _digest(folder, about):
            return None
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        groups = np.load(folder / "groups.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    skipped = [Skipped(**entry) for entry in about["skipped"]]
    return Prepared(images, groups, identity, about["names"], skipped)


def _digest(folder: Path, about: Mapping[str, Any]) -> str:
    """SHA-256 of all that an entry holds: what is said of its images, and its files to the last byte."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in ("images.npy", "groups.npy"):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _make(settings: DataSettings, found: list[Photo], folder: Path, identity: str, workers: int) -> None:

    def cut(part: Sequence[Photo]) -> list[list[np.ndarray[Any, Any]] | str]:
        return [_cut(photo, settings.crop, settings.size) for photo in part]

    # Threads, which start at once: Pillow decodes and resizes without the interpreter's lock.
    parts = [found[start : start + _PART] for start in range(0, len(found), _PART)]
    with ThreadPoolExecutor(workers) as pool:
        results = list(chain.from_iterable(pool.map(cut, parts)))
    skipped = [Skipped(photo.name, cut) for photo, cut in zip(found, results, strict=True) if isinstance(cut, str)]
    kept = [(photo.name, cut) for photo, cut in zip(found, results, strict=True) if not isinstance(cut, str)]
    images = [image for _, cut in kept for image in cut]
    if not images:
        raise DataError(f"data.root: no usable image among {len(found)} photos; the first: {skipped[0].reason}")
    grouped = len(CUTS[settings.crop]) > 1
    sizes = [len(cut) for _, cut in kept] if grouped else [1] * len(images)
    array = np.empty((len(images), *images[0].shape), np.uint8)  # in the order of the file, which is then soon written
    np.stack(images, out=array)
    about = {
        "identity": identity,
        "names": [name for name, cut in kept for _ in cut],
        "skipped": [asdict(entry) for entry in skipped],
    }
    with filled(folder, sound=lambda: _open(folder, identity) is not None) as scratch:
        np.save(scratch / "images.npy", array)
        np.save(scratch / "groups.npy", np.cumsum([0, *sizes], dtype=np.int64))
        about["digest"] = _digest(scratch, about)
        (scratch / "about.json").write_text(json.dumps(about), encoding="utf-8")


def _cut(photo: Photo, crop: str, size: int) -> list[np.ndarray[Any, Any]] | str:
    """All images that one photo gives: one per box, one for `resize`, every crop of every box for `all`.

    Or the reason why it gives none.
    """
    try:
        with opened(photo.path) as image:
            areas = _areas(photo, crop, image.size)
            smaller = decode_smaller(image, areas, size)
            decoded = in_rgb(image)
    except BadAnnotation as error:
        return str(error)
    except (OSError, ValueError) as error:
        return f"unreadable image: {error}".replace(str(photo.path), photo.name)
    if not areas:
        return f"crop {crop} leaves nothing of its boxes"
    boxes = [(left / smaller, top / smaller, right / smaller, low / smaller) for left, top, right, low in areas]
    cut = [decoded.resize((size, size), Image.Resampling.LANCZOS, box=box) for box in boxes]
    return [np.asarray(each).transpose(2, 0, 1) for each in cut]


def _areas(photo: Photo, crop: str, size: Size) -> list[Box]:
    """What is cut out of a photo of `size`. Raises BadAnnotation."""
    boxes = [Box(0, 0, *size)]
    if crop in NEEDS_BOX:
        assert photo.annotation is not None, "check() refuses crops that need boxes where there are none"
        boxes = read_boxes(photo.annotation, size)
    crops = [CROPS[name](size, box) for box in boxes for name in CUTS[crop]]
    return [area for area in crops if area is not None and area.width > 0 and area.height > 0]


def decode_smaller(image: Image.Image, areas: Sequence[Box], size: int) -> int:
    """Have a JPEG that is not decoded yet decoded at 1/2, 1/4 or 1/8 of its size, and say by how much: 1 of others.

    As small as leaves every one of the areas at least `size` px wide and high: libjpeg makes fewer pixels of each
    block, and there are fewer to resize. A pixel is then exactly so many of the whole image, at the far edges too.
    """
    whole = image.size
    least = min((min(area.width, area.height) for area in areas), default=0)
    smaller = next((each for each in (8, 4, 2) if least >= each * size), 1)
    if smaller > 1 and image.format == "JPEG":
        image.draft("RGB", (whole[0] // smaller, whole[1] // smaller))
    return smaller if image.size == tuple(-(-side // smaller) for side in whole) else 1
