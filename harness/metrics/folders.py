"""Folders and zips of images, read one by one, and their features; nothing is unpacked to disk."""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import DataError
from harness.files import IMAGE_SUFFIXES
from harness.files.images import read_rgb

if TYPE_CHECKING:
    import torch

    from harness.metrics.extractors import Extractor

_MOST_BYTES = 64 * 2**20  # of one image in a zip
_MOST_IMAGES = 500_000
_MOST_UNPACKED = 2**30  # bytes of all images of a zip, where they take a hundred times its own: no real images do
_MOST_PACKING = 100
_WINDOW = 128  # images in memory at a time
_WINDOW_BYTES = 256 * 2**20  # of decoded images at once, or little more

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


class ImageFiles:
    """The image files of a folder (with subfolders) or of a zip, in the order of their names.

    Raises DataError for what is neither, for a zip with members that are too many or too large, and for no image.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self._zip: zipfile.ZipFile | None = None
        if source.is_dir():
            paths = (path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file())
            self.names = sorted(name for name in paths if _is_image(name))
        else:
            self._zip = _open_zip(source)
            self.names = sorted(name for name in self._zip.namelist() if _is_image(name))
        if not self.names:
            raise DataError(f"{source}: holds no image; images end in {', '.join(IMAGE_SUFFIXES)}")

    def __len__(self) -> int:
        return len(self.names)

    def content(self, name: str) -> bytes:
        """The bytes of one file."""
        if self._zip is None:
            return (self.source / name).read_bytes()
        try:
            return self._zip.read(name)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, ValueError, EOFError) as error:
            raise OSError(f"not to be read from the zip: {error}") from error

    def pixels(self, name: str) -> Pixels:
        """uint8 [3, H, W] in RGB. Raises OSError or ValueError where the file is not a sound image."""
        return np.asarray(read_rgb(io.BytesIO(self.content(name)))).transpose(2, 0, 1)

    def digest(self) -> str:
        """SHA-256 of the files' names and bytes."""
        whole = hashlib.sha256()
        for name in self.names:
            try:
                content = self.content(name)
            except OSError:
                content = b"unreadable"
            whole.update(os.fsencode(name) + f" {len(content)}\n".encode())
            whole.update(hashlib.sha256(content).digest())
        return whole.hexdigest()


@dataclass(frozen=True)
class Featured:
    """Features [N, D] of the readable images, their names and sizes, and what could not be read with the reason."""

    features: torch.Tensor
    names: list[str]
    skipped: list[tuple[str, str]]
    sizes: Counter[tuple[int, int]]


def features_of(
    files: ImageFiles, extractor: Extractor, advance: Callable[[int], None] = lambda count: None
) -> Featured:
    """Features of every readable image, each resized from its own size by the extractor's rule.

    `advance` is told of every file that is done with. Raises DataError where fewer than 2 images are readable.
    """
    import torch

    rows: list[torch.Tensor] = []
    names: list[str] = []
    skipped: list[tuple[str, str]] = []
    sizes: Counter[tuple[int, int]] = Counter()
    window: dict[str, Pixels] = {}
    for position, name in enumerate(files.names, 1):
        try:
            window[name] = files.pixels(name)
        except (OSError, ValueError) as error:
            skipped.append((name, str(error).replace("\n", " ")))
            advance(1)
        held = sum(pixels.nbytes for pixels in window.values())
        if len(window) == _WINDOW or held > _WINDOW_BYTES or position == len(files):
            rows += _window_features(window, extractor, advance)
            names += window
            sizes.update((pixels.shape[2], pixels.shape[1]) for pixels in window.values())
            window = {}
    if len(names) < 2:
        why = f"; {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise DataError(f"{files.source}: holds {len(names)} readable image(s), a score needs at least 2{why}")
    return Featured(torch.stack(rows), names, skipped, sizes)


def _window_features(
    window: dict[str, Pixels], extractor: Extractor, advance: Callable[[int], None]
) -> list[torch.Tensor]:
    """A feature row per image, in order; images of one size go through the extractor together."""
    import torch

    shapes: dict[tuple[int, ...], list[str]] = {}
    for name, pixels in window.items():
        shapes.setdefault(pixels.shape, []).append(name)
    rows: dict[str, torch.Tensor] = {}
    for alike in shapes.values():
        rows |= zip(alike, extractor(torch.from_numpy(np.stack([window[name] for name in alike]))), strict=True)
        advance(len(alike))
    return [rows[name] for name in window]


def _open_zip(source: Path) -> zipfile.ZipFile:
    if not source.exists():
        raise DataError(f"{source}: no such folder or zip file")
    try:
        archive = zipfile.ZipFile(source) if source.is_file() and zipfile.is_zipfile(source) else None
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise DataError(f"{source}: a damaged zip file ({error}); pack it anew") from None
    if archive is None:
        raise DataError(f"{source}: neither a folder nor a zip file; give a folder of images, or a zip of them")
    members = [member for member in archive.infolist() if _is_image(member.filename)]
    if len(members) > _MOST_IMAGES:
        raise DataError(f"{source}: holds {len(members):,} images; at most {_MOST_IMAGES:,} are read")
    for member in members:
        if member.file_size > _MOST_BYTES:
            raise DataError(
                f"{source}: {member.filename} would take {member.file_size:,} bytes; at most {_MOST_BYTES:,} an image"
            )
    unpacked, packed = sum(member.file_size for member in members), source.stat().st_size
    if unpacked > max(_MOST_UNPACKED, _MOST_PACKING * packed):
        raise DataError(
            f"{source}: its images would take {unpacked:,} bytes, more than {_MOST_PACKING} times the {packed:,} of "
            "the zip, as no images do; give the folder of images"
        )
    return archive


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in IMAGE_SUFFIXES and "__MACOSX" not in path.parts
