"""Scores of a folder or zip of images against another, for `harness score`."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from harness.errors import DataError

if TYPE_CHECKING:
    from harness.metrics.scores import Scores

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_MOST_BYTES = 64 * 2**20  # of one image in a zip
_MOST_IMAGES = 500_000


@dataclass
class Images:
    """uint8 pixels [N, 3, H, W] in the order of names, and what could not be read."""

    pixels: np.ndarray[Any, np.dtype[np.uint8]]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    resized: int = 0


def read_images(source: Path) -> Images:
    """The images of a folder (with subfolders) or a zip, sorted by name; odd sizes are brought to the commonest one.

    A zip is read in memory, member by member; nothing is unpacked to disk. Raises DataError.
    """
    pictures: list[Image.Image] = []
    skipped: list[tuple[str, str]] = []
    for name, content in _files(source):
        try:
            with Image.open(io.BytesIO(content)) as opened:
                pictures.append(opened.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            skipped.append((name, str(error)))
    if len(pictures) < 2:
        raise DataError(f"{source}: holds {len(pictures)} readable image(s); scores need at least 2")
    size = Counter(picture.size for picture in pictures).most_common(1)[0][0]
    odd = sum(picture.size != size for picture in pictures)
    arrays = [np.asarray(p if p.size == size else p.resize(size, Image.Resampling.BILINEAR)) for p in pictures]
    return Images(np.stack(arrays).transpose(0, 3, 1, 2), skipped, odd)


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for path in sorted(path for path in source.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file()):
            yield path.relative_to(source).as_posix(), path.read_bytes()
        return
    if not source.exists():
        raise DataError(f"{source}: no such folder or zip file")
    if not zipfile.is_zipfile(source):
        raise DataError(f"{source}: neither a folder nor a zip file; give a folder of images, or a zip of them")
    with zipfile.ZipFile(source) as archive:
        members = [member for member in archive.infolist() if _is_image(member.filename)]
        if len(members) > _MOST_IMAGES:
            raise DataError(f"{source}: holds {len(members):,} images; at most {_MOST_IMAGES:,} are read")
        for member in sorted(members, key=lambda member: member.filename):
            if member.file_size > _MOST_BYTES:
                raise DataError(f"{source}: {member.filename} would take {member.file_size:,} bytes, more than allowed")
            yield member.filename, archive.read(member)


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in _SUFFIXES and "__MACOSX" not in path.parts


def score_folders(
    generated: Path, reference: Path, *, extractors: Sequence[str], tau: float, device: str = "cpu"
) -> dict[str, Scores]:
    """Scores under each extractor, by its name. Raises DataError and MetricError."""
    both = [read_images(source) for source in (generated, reference)]
    import torch

    from harness.metrics import extractor, score_features

    found: dict[str, Scores] = {}
    for name in extractors:
        network = extractor(name, device=device)
        ours, theirs = (network(torch.from_numpy(np.ascontiguousarray(images.pixels))) for images in both)
        found[name] = score_features(theirs, ours, tau=tau)
    return found
