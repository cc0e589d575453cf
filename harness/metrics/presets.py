"""Names of feature networks, and published yardsticks that stand for one. Imports nothing heavy."""

from __future__ import annotations

from typing import NamedTuple

EXTRACTOR_NAMES = (
    *("efficientnet-lite0", "efficientnet-lite1"),  # these need no download
    *("inception", "inception-768", "inception-192", "inception-64", "dinov2", "clip"),
)  # and any network of timm, as timm:<model>


class Preset(NamedTuple):
    """A published yardstick: its extractor, and the memorisation distance below which it penalises."""

    extractor: str
    tau: float


PRESETS = {
    "kaggle-public": Preset("inception", 0.1),
    "kaggle-private": Preset("timm:nasnetalarge.tf_in1k", 0.25),
}
"""Yardsticks of the Generative Dog Images competition, accepted wherever an extractor is named."""
