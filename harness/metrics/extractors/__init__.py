"""The frozen networks whose features are scored, each with a fingerprint of all that moves its numbers."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol

import torch

from harness.errors import MetricError, nearest
from harness.metrics.extractors.network import Extractor, ImageNetwork
from harness.metrics.presets import EXTRACTORS, PRESETS
from harness.settings import Precision

__all__ = ["Extractor", "ImageNetwork", "Maker", "extractor"]


class Maker(Protocol):
    """Makes the extractor of one name; `weights` is a file of the user's, where the network takes one."""

    def __call__(
        self, name: str, weights: Path | None, precision: Precision, device: str | torch.device
    ) -> Extractor: ...


def extractor(
    name: str, *, precision: Precision = "auto", device: str | torch.device = "cpu", weights: Path | None = None
) -> Extractor:
    """The extractor called `name`: one of EXTRACTORS, `timm:<model>`, or a preset, which stands for one of these.

    `weights` is a state dict file for `timm:<model>` and `inception`; without it theirs are looked for under
    $HARNESS_CACHE/weights (timm's in the Hugging Face cache) and downloaded where they are not there. Raises
    MetricError for an unknown name and for weights that are not to be had.
    """
    if name in PRESETS:
        name = PRESETS[name].extractor
    if not name.startswith("timm:") and name not in EXTRACTORS:
        raise MetricError(f"extractor '{name}' is unknown; {nearest(name, [*EXTRACTORS, *PRESETS, 'timm:<model>'])}")
    module, _, maker = EXTRACTORS.get(name, "timm_network:timm_network").partition(":")
    make: Maker = getattr(importlib.import_module(f"harness.metrics.extractors.{module}"), maker)
    return make(name, weights, precision, device)
