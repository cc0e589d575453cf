"""Scores of generated images against real ones. Importing this package loads no torch until a name is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.metrics.extractors import Extractor, extractor
    from harness.metrics.reference import Reference
    from harness.metrics.scores import Scores, mifid_from, score_features

__all__ = ["Extractor", "Reference", "Scores", "extractor", "mifid_from", "score_features"]

_HOME = {
    "Extractor": "extractors",
    "extractor": "extractors",
    "Reference": "reference",
    "Scores": "scores",
    "mifid_from": "scores",
    "score_features": "scores",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'harness.metrics' has no attribute '{name}'")
    return getattr(importlib.import_module(f"harness.metrics.{_HOME[name]}"), name)
