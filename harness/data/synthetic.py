"""Drawn dogs in the layout of Stanford Dogs: photos with clutter, people and several dogs, and true boxes.

A data set that needs no download and in which the crop matters: the dog fills part of a busy photo, as in the real one.
Every photo is drawn from a generator seeded by (seed, index), so that a set is the same whatever draws it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from harness.data.crops import Box
from harness.data.dog import BREEDS, Breed, draw_dog
from harness.data.processes import in_processes
from harness.files.caching import filled
from harness.files.digests import file_digest

_VERSION = 2  # of the drawing; a change of it is another data set
_CHUNK = 50
_CHECKSUM = "sha256"  # the file that holds it
_SIZES = ((500, 375), (500, 333), (375, 500), (480, 360), (450, 400))
_GROUNDS = ((92, 140, 62), (168, 140, 98), (120, 110, 104), (196, 186, 170), (70, 110, 78), (150, 96, 70))
_SKIES = ((158, 198, 232), (206, 214, 220), (230, 214, 190), (112, 132, 120), (186, 174, 200), (238, 236, 228))


@dataclass(frozen=True)
class Drawn:
    """A drawn photo, its breed and the true boxes of its dogs."""

    image: Image.Image
    breed: Breed
    boxes: list[Box]


def drawn(
    cache: Path, *, count: int, seed: int, workers: int = 1, note: Callable[[str], None] = lambda text: None
) -> Path:
    """The folder of a drawn set in the cache, drawn where it is missing. Raises CacheError.

    One that does not match its checksum is drawn anew, and `note` told: other pixels would be another data set.
    """
    folder = cache / f"v{_VERSION}-{count}-{seed}"
    if not _sound(folder):
        if folder.exists():
            note(f"the drawn photos in {folder} are damaged, or of an earlier version: they are drawn anew")
        with filled(folder, sound=lambda: _sound(folder)) as scratch:
            synthesize(scratch, count=count, seed=seed, workers=workers)
            (scratch / _CHECKSUM).write_text(_digest(scratch), encoding="utf-8")
    return folder


def _sound(folder: Path) -> bool:
    """Whether a drawn set is what was drawn, to the last byte."""
    try:
        return (folder / _CHECKSUM).read_bytes() == _digest(folder).encode()
    except OSError:
        return False


def _digest(folder: Path) -> str:
    """SHA-256 of the names and contents of all photos and annotations."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _CHECKSUM):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(file_digest(path))
    return digest.hexdigest()


def synthesize(destination: Path, *, count: int, seed: int = 0, workers: int = 1) -> None:
    """Draw `count` photos into destination/Images and destination/Annotation."""
    for breed in BREEDS:
        for part in ("Images", "Annotation"):
            (destination / part / breed.folder).mkdir(parents=True, exist_ok=True)
    in_processes(partial(_write, destination, seed), range(count), workers, chunk=_CHUNK)


def _write(destination: Path, seed: int, index: int) -> None:
    photo = draw_photo(seed, index)
    stem = f"{photo.breed.folder.partition('-')[0]}_{index:05d}"
    photo.image.save(destination / "Images" / photo.breed.folder / f"{stem}.jpg", quality=90)
    annotation = destination / "Annotation" / photo.breed.folder / stem
    annotation.write_text(_annotation(photo, stem), encoding="utf-8")


def _annotation(photo: Drawn, stem: str) -> str:
    width, height = photo.image.size
    objects = "".join(
        f"\t<object>\n\t\t<name>{photo.breed.name}</name>\n\t\t<bndbox>\n"
        + "".join(f"\t\t\t<{side}>{value}</{side}>\n" for side, value in zip(Box._fields, box, strict=True))
        + "\t\t</bndbox>\n\t</object>\n"
        for box in photo.boxes
    )
    return (
        f"<annotation>\n\t<folder>{photo.breed.folder}</folder>\n\t<filename>{stem}</filename>\n\t<size>\n"
        f"\t\t<width>{width}</width>\n\t\t<height>{height}</height>\n\t\t<depth>3</depth>\n\t</size>\n"
        f"{objects}</annotation>\n"
    )


def draw_photo(seed: int, index: int) -> Drawn:
    """Photo `index` of the set of `seed`: always the same pixels."""
    random = np.random.default_rng([seed, index])
    breed = BREEDS[int(random.integers(len(BREEDS)))]
    size = _SIZES[int(random.integers(len(_SIZES)))]
    image = Image.new("RGB", size)
    canvas = ImageDraw.Draw(image)
    horizon = _background(canvas, size, random)
    for _ in range(int(random.integers(5, 12))):
        _clutter(canvas, size, horizon, random)
    if random.random() < 0.7:
        _person(canvas, size, random)
    boxes = [draw_dog(canvas, size, breed, random) for _ in range(1 if random.random() < 0.85 else 2)]
    if random.random() < 0.25:
        _clutter(canvas, size, size[1], random, small=True)
    return Drawn(_light(image, random), breed, boxes)


def _shade(colour: tuple[int, int, int], random: np.random.Generator, spread: float = 0.15) -> tuple[int, int, int]:
    factor = 1 + random.uniform(-spread, spread)
    red, green, blue = (int(np.clip(value * factor, 0, 255)) for value in colour)
    return red, green, blue


def _background(canvas: ImageDraw.ImageDraw, size: tuple[int, int], random: np.random.Generator) -> int:
    width, height = size
    horizon = int(height * random.uniform(0.35, 0.65))
    sky = np.array(_shade(_SKIES[int(random.integers(len(_SKIES)))], random))
    ground = np.array(_shade(_GROUNDS[int(random.integers(len(_GROUNDS)))], random))
    for top in range(0, height, 4):
        base = sky if top < horizon else ground
        depth = top / horizon if top < horizon else (top - horizon) / max(1, height - horizon)
        colour = np.clip(base * (0.92 + 0.14 * depth), 0, 255).astype(int)
        canvas.rectangle((0, top, width, top + 4), fill=tuple(int(value) for value in colour))
    return horizon


def _clutter(
    canvas: ImageDraw.ImageDraw,
    size: tuple[int, int],
    horizon: int,
    random: np.random.Generator,
    *,
    small: bool = False,
) -> None:
    """A bush, a box, a ball or a pole: things that are no dog."""
    width, height = size
    colour = tuple(int(value) for value in random.integers(40, 220, 3))
    scale = height * (random.uniform(0.06, 0.14) if small else random.uniform(0.1, 0.4))
    x, foot = random.uniform(0, width), min(height, horizon + random.uniform(0, height * 0.3))
    kind = int(random.integers(4))
    if kind == 0:
        for _ in range(5):
            dx, dy = random.uniform(-0.5, 0.5, 2) * scale
            canvas.ellipse(
                (x + dx - scale / 2, foot - scale + dy, x + dx + scale / 2, foot + dy),
                fill=_shade((60, 104, 54), random),
            )
    elif kind == 1:
        canvas.rectangle((x - scale * 0.7, foot - scale, x + scale * 0.7, foot), fill=colour)
    elif kind == 2:
        canvas.ellipse((x - scale / 3, foot - scale * 0.67, x + scale / 3, foot), fill=colour)
    else:
        canvas.rectangle(
            (x - scale * 0.08, foot - scale * 2, x + scale * 0.08, foot), fill=_shade((96, 72, 52), random)
        )


def _person(canvas: ImageDraw.ImageDraw, size: tuple[int, int], random: np.random.Generator) -> None:
    """A person-like shape: legs, torso, arms, head."""
    width, height = size
    tall = height * random.uniform(0.7, 1.2)
    x, foot = random.uniform(0.05, 0.95) * width, height * random.uniform(0.9, 1.15)
    cloth = tuple(int(value) for value in random.integers(30, 230, 3))
    legs = tuple(int(value) for value in random.integers(20, 120, 3))
    skin = _shade(((232, 190, 160), (150, 104, 78), (92, 62, 48))[int(random.integers(3))], random)
    for side in (-1, 1):
        canvas.rectangle(
            (x + side * 0.07 * tall - 0.05 * tall, foot - 0.5 * tall, x + side * 0.07 * tall + 0.05 * tall, foot),
            fill=legs,
        )
        canvas.line(
            (x + side * 0.12 * tall, foot - 0.8 * tall, x + side * 0.22 * tall, foot - 0.48 * tall),
            fill=skin,
            width=max(3, int(0.06 * tall)),
        )
    canvas.rounded_rectangle(
        (x - 0.14 * tall, foot - 0.84 * tall, x + 0.14 * tall, foot - 0.46 * tall), 0.05 * tall, fill=cloth
    )
    canvas.ellipse((x - 0.08 * tall, foot - 1.02 * tall, x + 0.08 * tall, foot - 0.84 * tall), fill=skin)


def _light(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Brightness, warmth, light from one side, a little blur and grain."""
    width, height = image.size
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 1.2))), dtype=np.float32)
    warmth = random.uniform(-0.06, 0.06)
    tint = np.array([1 + warmth, 1.0, 1 - warmth], dtype=np.float32) * random.uniform(0.8, 1.1)
    slope = random.uniform(-0.15, 0.15)
    side = 1 + slope * np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    grain = random.standard_normal((height, width, 1), dtype=np.float32) * random.uniform(1, 4)
    return Image.fromarray(np.clip(pixels * tint * side + grain, 0, 255).astype(np.uint8))
