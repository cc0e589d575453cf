"""The registry of feature networks, and published yardsticks that stand for one. Imports nothing heavy."""

from __future__ import annotations

from typing import NamedTuple

EXTRACTORS = {
    "efficientnet-lite0": "efficientnet:lite0",  # the first two need no download
    "efficientnet-lite1": "efficientnet:lite1",
    "inception": "fidelity:inception",
    "inception-768": "fidelity:inception_768",
    "inception-192": "fidelity:inception_192",
    "inception-64": "fidelity:inception_64",
    "dinov2": "fidelity:dinov2",
    "clip": "fidelity:clip",
}
"""What makes each, as module:name in `harness.metrics.extractors`, loaded when it is asked for; a `Maker` there.

Any network of timm is one as well, as timm:<model>.
"""
EXTRACTOR_NAMES = tuple(EXTRACTORS)


class Preset(NamedTuple):
    """A published yardstick: its extractor, and the memorisation distance below which it penalises."""

    extractor: str
    tau: float


PRESETS = {
    "kaggle-public": Preset("inception", 0.1),
    "kaggle-private": Preset("timm:nasnetalarge.tf_in1k", 0.25),
}
"""Yardsticks of the Generative Dog Images competition, accepted wherever an extractor is named."""


def tau_of(extractor: str, usual: float) -> float:
    """The tau in force under an extractor or preset: the preset's own, or else the usual one."""
    return PRESETS[extractor].tau if extractor in PRESETS else usual
