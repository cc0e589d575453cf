"""Preparing photos takes a third of the time of a loop over them, or less, and a second start under a second.

    python benchmarks/data.py                   real photos: $HARNESS_DOGS, or --photos FOLDER
    python benchmarks/data.py --json PATH       the numbers as well

Ours is `harness.data.prepare` into an empty cache, with all cores: finding, hashing, cutting and storing photos. Two
peers: the notebook's loop, which opens, cuts and resizes by Lanczos one crop after another on one core; and a kinder
one that opens each photo once for all its crops. Both keep the images in a list, and store nothing. In alternation in
one process, medians over repeats, images of 64 px a second; the files are in the system's cache for all. The second
start is one more `prepare` in a process of its own, the imports not counted.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from harness.data import prepare
from harness.data.annotations import read_boxes
from harness.data.crops import CROPS, CUTS, NEEDS_BOX, Box
from harness.data.settings import DataSettings
from harness.data.sources import Photo, photos
from harness.machine.provenance import cores, processor

REPOSITORY = Path(__file__).resolve().parents[1]
DOGS = Path(os.environ.get("HARNESS_DOGS") or REPOSITORY / ".." / "shared/data/stanford-dogs")
SIZE = 64
AGAIN = """
import sys, time
from pathlib import Path
from harness.data import prepare
from harness.data.settings import DataSettings
settings = DataSettings(source="stanford-dogs", root=sys.argv[1], crop=sys.argv[2], size=64)
began = time.perf_counter()
prepare(settings, cache=Path(sys.argv[3]))
print(time.perf_counter() - began)
"""


def one_crop(found: list[Photo], crops: tuple[str, ...], boxed: bool) -> list[np.ndarray[Any, Any]]:
    """Each photo is opened, and these crops of its boxes are cut and resized."""
    images = []
    for photo in found:
        image = Image.open(photo.path).convert("RGB")
        assert photo.annotation is not None
        boxes = read_boxes(photo.annotation, image.size) if boxed else [Box(0, 0, *image.size)]
        for area in (CROPS[name](image.size, box) for box in boxes for name in crops):
            if area is not None and area.width > 0 and area.height > 0:
                images.append(np.asarray(image.crop(area).resize((SIZE, SIZE), Image.Resampling.LANCZOS)))
    return images


def loops(found: list[Photo], crop: str) -> dict[str, Callable[[], int]]:
    """The peers: the number of images that each makes."""
    names, boxed = CUTS[crop], crop in NEEDS_BOX
    return {
        "notebook's loop": lambda: sum(len(one_crop(found, (name,), boxed)) for name in names),
        "each photo opened once": lambda: len(one_crop(found, names, boxed)),
    }


def ours(settings: DataSettings) -> int:
    with tempfile.TemporaryDirectory() as cache:
        return len(prepare(settings, cache=Path(cache), workers=cores()).images)


def again(settings: DataSettings) -> float:
    """Seconds of a second start."""
    with tempfile.TemporaryDirectory() as cache:
        prepare(settings, cache=Path(cache), workers=cores())
        call = [sys.executable, "-c", AGAIN, str(settings.root), settings.crop, cache]
        return float(subprocess.run(call, check=True, capture_output=True, text=True).stdout)


def measure(root: Path, crop: str, repeats: int) -> dict[str, Any]:
    settings = DataSettings(source="stanford-dogs", root=root, crop=crop, size=SIZE)
    calls: dict[str, Callable[[], int]] = {"ours": functools.partial(ours, settings), **loops(photos(settings), crop)}
    rates: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            began = time.perf_counter()
            made = call()
            rates[name].append(made / (time.perf_counter() - began))
    middle = {name: statistics.median(each) for name, each in rates.items()}
    ratios = {name: middle["ours"] / value for name, value in middle.items()}
    return {"images": made, "rates": middle, "ratios": ratios, "second start, seconds": again(settings)}


def machine() -> str:
    return f"{processor()}, {cores()} cores; Pillow {Image.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=DOGS, help="folder with Images/ and Annotation/")
    parser.add_argument("--repeats", type=int, default=5, help="of every measurement (default: 5)")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    if not (options.photos / "Images").is_dir():
        print(f"skipped: no photos at {options.photos}; name a folder of Stanford Dogs with --photos or HARNESS_DOGS")
        return
    found: dict[str, Any] = {"machine": machine()}
    print(f"{found['machine']}\n\n{'crop':8} {'':24} {'images/s':>9} {'ours is':>8}")
    for crop in ("square", "all", "resize"):
        found[crop] = measured = measure(options.photos.resolve(), crop, options.repeats)
        for name, rate in measured["rates"].items():
            print(f"{crop:8} {name:24} {rate:9.0f} {measured['ratios'][name]:8.2f}")
        print(f"{crop:8} second start {measured['second start, seconds']:.2f} s ({measured['images']:,} images)")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
