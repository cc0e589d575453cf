"""The frozen networks whose features are scored, each with a fingerprint of all that moves its numbers."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol

import torch

from harness.metrics.extractors.network import Extractor, ImageNetwork
from harness.metrics.presets import EXTRACTORS, PRESETS, named
from harness.settings import Precision

__all__ = ["Extractor", "ImageNetwork", "Maker", "extractor"]


class Maker(Protocol):
    """Makes the extractor called `name`.

    `size` is the side of its input in pixels, None for that of timm; `weights` is a file of the user's, where the
    network takes one.
    """

    def __call__(
        self, name: str, size: int | None, weights: Path | None, precision: Precision, device: str | torch.device
    ) -> Extractor: ...


def extractor(
    name: str, *, precision: Precision = "auto", device: str | torch.device = "cpu", weights: Path | None = None
) -> Extractor:
    """The extractor called `name`: one of EXTRACTORS, `timm:<model>`, or a preset, which stands for one of these.

    `efficientnet-lite0@64` is one fed at another size, in pixels: its images are resized to that, by the same rule.
    `weights` is a state dict file for `timm:<model>` and `inception`; without it theirs are looked for under
    $HARNESS_CACHE/weights (timm's in the Hugging Face cache) and downloaded where they are not there. Raises
    MetricError for an unknown name, a size that the network does not take, and weights that are not to be had.
    """
    if name in PRESETS:
        name = PRESETS[name].extractor
    network, size = named(name)
    place = "timm_network:timm_network"
    if network in EXTRACTORS:
        place, size = EXTRACTORS[network].maker, size or EXTRACTORS[network].size
    module, _, maker = place.partition(":")
    make: Maker = getattr(importlib.import_module(f"harness.metrics.extractors.{module}"), maker)
    return make(name, size, weights, precision, device)
