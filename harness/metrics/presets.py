"""The registry of feature networks, and published yardsticks that stand for one. Imports nothing heavy."""

from __future__ import annotations

import re
from typing import NamedTuple

from harness.errors import MetricError, nearest


class Network(NamedTuple):
    """A feature network: what makes it, its input's side in pixels, and whether it takes inputs of other sides.

    The maker is module:name in `harness.metrics.extractors`, a `Maker` there, loaded when it is asked for.
    """

    maker: str
    size: int
    other_sizes: bool = False


EXTRACTORS = {
    "efficientnet-lite0": Network("efficientnet:lite0", 224, other_sizes=True),  # the first two need no download
    "efficientnet-lite1": Network("efficientnet:lite1", 240, other_sizes=True),
    "inception": Network("fidelity:inception", 299),
    "inception-768": Network("fidelity:inception_768", 299),
    "inception-192": Network("fidelity:inception_192", 299),
    "inception-64": Network("fidelity:inception_64", 299),
    "dinov2": Network("fidelity:dinov2", 224),
    "clip": Network("fidelity:clip", 224),
}
"""The networks by name; `efficientnet-lite0@64` is one of them fed at another size.

Any network of timm is one as well, as timm:<model>.
"""


class Preset(NamedTuple):
    """A published yardstick: its extractor, and the memorisation distance below which it penalises."""

    extractor: str
    tau: float


PRESETS = {
    "kaggle-public": Preset("inception", 0.1),
    "kaggle-private": Preset("timm:nasnetalarge.tf_in1k", 0.25),
}
"""Yardsticks of the Generative Dog Images competition, accepted wherever an extractor is named."""

NAMES = (*EXTRACTORS, *PRESETS, "timm:<model>")
"""Every name of an extractor without an input size."""

SMALLEST, LARGEST = 32, 1024
"""Sides of an input in pixels that may be asked for: all networks here halve their input five times."""


def tau_of(extractor: str, usual: float) -> float:
    """The tau in force under an extractor or preset: the preset's own, or else the usual one."""
    return PRESETS[extractor].tau if extractor in PRESETS else usual


def named(extractor: str) -> tuple[str, int | None]:
    """The network of `NETWORK` or `NETWORK@SIZE`, and the side of its input in pixels: None for its own.

    Raises MetricError for an unknown network, and for a size that it does not take or that is its own (one yardstick
    has one name). What a network of timm takes shows when it is made.
    """
    name, at, size = extractor.partition("@")
    if name not in EXTRACTORS and name not in PRESETS and not name.startswith("timm:"):
        raise MetricError(f"there is no extractor '{name}'; {nearest(name, NAMES)}")
    if not at:
        return name, None
    if name in PRESETS:
        raise MetricError(
            f"extractor '{extractor}': the preset {name} has an input size, part of what was published; "
            f"leave '@{size}' away"
        )
    own = EXTRACTORS.get(name)
    if own and not own.other_sizes:
        others = " and ".join(other for other, each in EXTRACTORS.items() if each.other_sizes)
        raise MetricError(
            f"extractor '{extractor}': {name} takes an input of {own.size} px alone; leave '@{size}' away, or give a "
            f"size to one of {others}, or to timm:<model>"
        )
    if not re.fullmatch(r"[1-9][0-9]{0,5}", size) or not SMALLEST <= int(size) <= LARGEST:
        raise MetricError(
            f"extractor '{extractor}': '{size}' is no input size; allowed: whole numbers of pixels from {SMALLEST} to "
            f"{LARGEST}, as in {name}@64"
        )
    if own and int(size) == own.size:
        raise MetricError(f"extractor '{extractor}': {size} px is what {name} takes anyway; name it '{name}'")
    return name, int(size)
