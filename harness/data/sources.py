"""Where photos come from: Stanford Dogs' layout, any folder, or dogs drawn on the spot."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.crops import NEEDS_BOX
from harness.errors import DataError
from harness.files import IMAGE_SUFFIXES
from harness.files.digests import file_digest

if TYPE_CHECKING:
    from harness.data.settings import DataSettings

HELD_OUT = 5  # every so many-th photo
_NOTHING = hashlib.sha256().digest()


@dataclass(frozen=True)
class Photo:
    """A photo on disk, and where its boxes are written, if anywhere."""

    path: Path
    annotation: Path | None
    name: str


def _folder(root: Path) -> list[Photo]:
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    return [Photo(path, None, path.relative_to(root).as_posix()) for path in paths]


def _stanford(root: Path) -> list[Photo]:
    images, annotations = root / "Images", root / "Annotation"
    for folder in (images, annotations):
        if not folder.is_dir():
            raise DataError(
                f"data.root: '{root}' has no folder {folder.name}/; Stanford Dogs has Images/ and Annotation/"
            )
    return [replace(photo, annotation=annotations / Path(photo.name).with_suffix("")) for photo in _folder(images)]


@dataclass(frozen=True)
class Source:
    """How the photos under a root are listed, what a root holds, whether it has boxes, whether we draw it ourselves."""

    read: Callable[[Path], list[Photo]]
    holds: str
    boxes: bool = True
    drawn: bool = False


SOURCES = {
    "synthetic-dogs": Source(_stanford, "Images/ and Annotation/", drawn=True),
    "stanford-dogs": Source(_stanford, "Images/ and Annotation/"),
    "folder": Source(_folder, "the images", boxes=False),
}

SPLITS: dict[str, Callable[[list[Photo]], list[Photo]]] = {
    "all": lambda found: found,
    "train": lambda found: [photo for number, photo in enumerate(found, 1) if number % HELD_OUT],
    "held-out": lambda found: found[HELD_OUT - 1 :: HELD_OUT],
}


def check(settings: DataSettings) -> None:
    """Refuse settings whose data cannot be there, without decoding anything. Raises DataError."""
    source = SOURCES[settings.source]
    if not source.boxes and settings.crop in NEEDS_BOX:
        raise DataError(
            f"data.crop: '{settings.crop}' needs boxes, and data.source '{settings.source}' has none; allowed: resize "
            "(for data.crop and evaluate.references), or use a source with boxes: "
            f"{', '.join(sorted(name for name, each in SOURCES.items() if each.boxes))}"
        )
    if not source.drawn:
        photos(settings)


def photos(settings: DataSettings, root: Path | None = None) -> list[Photo]:
    """The photos of a source in a fixed order; `limit` takes as many from each class. Raises DataError."""
    source = SOURCES[settings.source]
    root = root or settings.root
    if root is None:
        raise DataError(f"data.root: not set, but data.source '{settings.source}' reads a folder; set data.root=FOLDER")
    if not root.is_dir():
        raise DataError(f"data.root: '{root}' is no folder; give the folder that holds {source.holds}")
    found = source.read(root)
    if not found:
        raise DataError(f"data.root: '{root}' holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return SPLITS[settings.split](_spread(found, settings.limit) if settings.limit else found)


def _spread(found: list[Photo], limit: int) -> list[Photo]:
    """`limit` photos, taken from the classes in turn, in the old order."""
    classes: dict[str, list[Photo]] = {}
    for photo in found:
        classes.setdefault(photo.path.parent.name, []).append(photo)
    in_turn = [photo for rank in zip_longest(*classes.values()) for photo in rank if photo is not None]
    kept = set(in_turn[:limit])
    return [photo for photo in found if photo in kept]


def fingerprint(found: list[Photo]) -> str:
    """SHA-256 over names and contents of the photos and their annotations."""
    digest = hashlib.sha256()
    for photo in found:
        digest.update(os.fsencode(photo.name))
        for path in (photo.path, photo.annotation):
            digest.update(file_digest(path) if path is not None and path.is_file() else _NOTHING)
    return digest.hexdigest()
