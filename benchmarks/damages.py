"""Does the metric order damages sensibly? Real photos against damaged copies of other real photos, and drawn dogs.

    .venv/bin/python benchmarks/damages.py --photos data/stanford-dogs

The photos' square crops at 64 px are split by photo into a reference half and another half, which is then damaged in
growing degrees. Undamaged photos must score best, and each kind of damage must score worse the stronger it is.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from harness.data import prepare
from harness.data.settings import DataSettings
from harness.machine.provenance import cores
from harness.metrics import Scores, extractor
from harness.metrics.scores import RealSide

EXTRACTORS = ("efficientnet-lite0", "efficientnet-lite1")
Damage = Callable[[Image.Image, np.random.Generator], Image.Image]


def jpeg(quality: int) -> Damage:
    def damage(image: Image.Image, random: np.random.Generator) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, format="JPEG", quality=quality)
        return Image.open(buffer).convert("RGB")

    return damage


def blur(sigma: float) -> Damage:
    return lambda image, random: image.filter(ImageFilter.GaussianBlur(sigma))


def noise(deviation: float) -> Damage:
    def damage(image: Image.Image, random: np.random.Generator) -> Image.Image:
        noisy = np.asarray(image, dtype=float) + random.normal(0, deviation, (image.height, image.width, 3))
        return Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))

    return damage


DAMAGES: dict[str, dict[str, Damage]] = {
    "JPEG": {f"quality {q}": jpeg(q) for q in (50, 20, 5)},
    "blur": {f"sigma {s:g} px": blur(s) for s in (0.5, 1, 2)},
    "noise": {f"sd {d:g}": noise(d) for d in (5, 15, 40)},
}


def halves(root: Path, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, 3, 64, 64] crops of every other photo, and of the others, at most `count` each."""
    prepared = prepare(DataSettings(source="stanford-dogs", root=root, size=64, crop="square"), workers=cores())
    number = {name: position for position, name in enumerate(dict.fromkeys(prepared.names))}
    odd = np.array([number[name] % 2 for name in prepared.names], dtype=bool)
    images = np.asarray(prepared.images)
    keep = slice(None) if count is None else slice(None, None, max(1, len(images) // 2 // count))
    return images[~odd][keep][:count], images[odd][keep][:count]


def damaged(images: np.ndarray, damage: Damage) -> np.ndarray:
    """The same images, each damaged, with noise from a fixed generator."""
    random = np.random.default_rng(0)
    pictures = (damage(Image.fromarray(image.transpose(1, 2, 0)), random) for image in images)
    return np.stack([np.asarray(picture).transpose(2, 0, 1) for picture in pictures])


def scores(root: Path, count: int | None = None) -> dict[str, dict[str, Scores]]:
    """Extractor -> name of the set -> its scores against the reference half."""
    reference, other = halves(root, count)
    drawn = prepare(DataSettings(size=64, crop="square", count=max(200, len(other))), workers=cores())
    sets = {
        "the other half": other,
        **{
            f"{kind}, {degree}": damaged(other, damage)
            for kind, degrees in DAMAGES.items()
            for degree, damage in degrees.items()
        },
        "drawn dogs": np.asarray(drawn.images)[: len(other)],
        "the reference itself": reference,
    }
    found: dict[str, dict[str, Scores]] = {}
    for name in EXTRACTORS:
        network = extractor(name)
        real = RealSide(network(torch.from_numpy(np.array(reference))))
        found[name] = {
            label: real.score(network(torch.from_numpy(np.array(images))), tau=0.1) for label, images in sets.items()
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="a folder in the layout of Stanford Dogs")
    parser.add_argument("--count", type=int, help="images a half; default: all")
    options = parser.parse_args()
    found = scores(options.photos, options.count)
    print("| set | " + " | ".join(f"{name}: FID | memorisation | MiFID | KID x 1000" for name in found) + " |")
    print("| --- |" + " ---: |" * 4 * len(found))
    for label in next(iter(found.values())):
        cells = []
        for name in found:
            s = found[name][label]
            cells.append(f"{s.fid:.2f} | {s.memorization_distance:.3f} | {s.mifid:.3g} | {1000 * s.kid:.3f}")
        print(f"| {label} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
