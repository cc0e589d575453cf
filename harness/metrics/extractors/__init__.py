"""The frozen networks whose features are scored, each with a fingerprint of all that moves its numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from harness.errors import MetricError, nearest
from harness.metrics.extractors.efficientnet import LITES, efficientnet_lite
from harness.metrics.extractors.fidelity import INCEPTIONS, clip, dinov2, inception
from harness.metrics.extractors.network import Extractor, ImageNetwork
from harness.metrics.extractors.timm_network import timm_network
from harness.metrics.presets import PRESETS
from harness.settings import Precision

__all__ = ["EXTRACTORS", "Extractor", "ImageNetwork", "extractor"]

Maker = Callable[[str, Path | None, Precision, str | torch.device], Extractor]

EXTRACTORS: dict[str, Maker] = {
    **dict.fromkeys(LITES, efficientnet_lite),
    **dict.fromkeys(INCEPTIONS, inception),
    "dinov2": dinov2,
    "clip": clip,
}


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
    if name.startswith("timm:"):
        return timm_network(name, weights, precision, device)
    if name not in EXTRACTORS:
        raise MetricError(f"extractor '{name}' is unknown; {nearest(name, [*EXTRACTORS, *PRESETS, 'timm:<model>'])}")
    return EXTRACTORS[name](name, weights, precision, device)
