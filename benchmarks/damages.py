"""Does the metric order damages sensibly? Real photos against damaged copies of other real photos, and drawn dogs.

    .venv/bin/python benchmarks/damages.py --photos data/stanford-dogs
    .venv/bin/python benchmarks/damages.py --photos data/stanford-dogs --side 32 --extractor efficientnet-lite0@64

The photos' square crops are split by photo into a reference half and another half, which is then damaged in growing
degrees. Undamaged photos must score best, and each kind of damage must score worse the stronger it is. The first table
sums that up: of each score, which kinds of damage it orders from undamaged to worst, and its floor, the score of the
undamaged half in per cent of that of the strongest JPEG (what the metric cannot see below); then the CPU seconds of one
score of the other half, features and MiFID. The second has the scores themselves.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageFilter

from harness.data import prepare
from harness.data.settings import DataSettings, Size
from harness.machine.provenance import cores
from harness.metrics import Scores, extractor
from harness.metrics.scores import RealSide

EXTRACTORS = (
    "efficientnet-lite0",
    *(f"efficientnet-lite0@{size}" for size in (128, 96, 64, 32)),
    "efficientnet-lite1",
    "efficientnet-lite1@64",
)
METRICS = ("fid", "mifid", "kid", "mind")
SOUND, WORST = "the other half", "JPEG, quality 5"
Damage = Callable[[Image.Image, np.random.Generator], Image.Image]


class Measured(NamedTuple):
    """Name of a set -> its scores, and the CPU seconds of one score of the undamaged half."""

    scores: dict[str, Scores]
    seconds: float


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


def halves(root: Path, count: int | None = None, side: Size = 64) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, 3, side, side] crops of every other photo, and of the others, at most `count` each."""
    prepared = prepare(DataSettings(source="stanford-dogs", root=root, size=side, crop="square"), workers=cores())
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


def scores(
    root: Path, count: int | None = None, side: Size = 64, extractors: Sequence[str] = EXTRACTORS
) -> dict[str, Measured]:
    """Extractor -> the scores of every set against the reference half."""
    reference, other = halves(root, count, side)
    drawn = prepare(DataSettings(size=side, crop="square", count=max(200, len(other))), workers=cores())
    sets = {
        SOUND: other,
        **{
            f"{kind}, {degree}": damaged(other, damage)
            for kind, degrees in DAMAGES.items()
            for degree, damage in degrees.items()
        },
        "drawn dogs": np.asarray(drawn.images)[: len(other)],
        "the reference itself": reference,
    }
    return {name: measured(name, reference, sets) for name in extractors}


def measured(name: str, reference: np.ndarray, sets: dict[str, np.ndarray]) -> Measured:
    """The scores of every set under one extractor, and what one costs in a run: features and MiFID alone."""
    network = extractor(name)
    real = RealSide(network(torch.from_numpy(np.array(reference))))
    found = {label: real.score(network(torch.from_numpy(np.array(images))), tau=0.1) for label, images in sets.items()}
    start = time.process_time()
    real.score(network(torch.from_numpy(np.array(sets[SOUND]))), tau=0.1, kid=False, manifold=False, mind=False)
    return Measured(found, time.process_time() - start)


def in_order(found: dict[str, Scores], kind: str, metric: str) -> bool:
    """Whether each degree of a kind of damage scores worse than the one before it, the first than none."""
    values = [getattr(found[label], metric) for label in (SOUND, *(f"{kind}, {degree}" for degree in DAMAGES[kind]))]
    return values == sorted(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="a folder in the layout of Stanford Dogs")
    parser.add_argument("--count", type=int, help="images a half; default: all")
    parser.add_argument("--side", type=int, action="append", choices=(32, 64, 128), help="px of the images; 64 and 32")
    parser.add_argument("--extractor", action="append", metavar="NAME", help="default: both networks, at several sizes")
    options = parser.parse_args()
    names = options.extractor or EXTRACTORS
    for side in options.side or (64, 32):
        found = scores(options.photos, options.count, side, names)
        count = len(halves(options.photos, options.count, side)[1])
        print(f"\n{count} photos a half at {side} px; {torch.get_num_threads()} thread(s)\n")
        print("| extractor | " + " | ".join(f"{m} orders | its floor, %" for m in METRICS) + " | CPU s a score |")
        print("| --- |" + " --- | ---: |" * len(METRICS) + " ---: |")
        for name, (own, seconds) in found.items():
            cells = []
            for metric in METRICS:
                kept = [kind for kind in DAMAGES if in_order(own, kind, metric)]
                floor = 100 * getattr(own[SOUND], metric) / getattr(own[WORST], metric)
                cells.append(f"{'all' if len(kept) == len(DAMAGES) else ', '.join(kept) or 'none'} | {floor:.1f}")
            print(f"| {name} | {' | '.join(cells)} | {seconds:.2f} |")
        print("\n| set | " + " | ".join(f"{n}: FID | memorisation | MiFID | KID x 1000 | MIND" for n in found) + " |")
        print("| --- |" + " ---: |" * 5 * len(found))
        for label in next(iter(found.values())).scores:
            cells = []
            for own, _ in found.values():
                s = own[label]
                cells.append(
                    f"{s.fid:.2f} | {s.memorization_distance:.3f} | {s.mifid:.3g} | {1000 * s.kid:.3f} | {s.mind:.3f}"
                )
            print(f"| {label} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
