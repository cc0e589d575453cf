"""Scores of generated images against real ones. Importing this package loads no torch until a name is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.metrics.extractors import Extractor, extractor
    from harness.metrics.scores import Scores, mifid_from, score_features

__all__ = ["Extractor", "Scores", "extractor", "mifid_from", "score_features"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'harness.metrics' has no attribute '{name}'")
    module = "extractors" if name in ("Extractor", "extractor") else "scores"
    return getattr(importlib.import_module(f"harness.metrics.{module}"), name)
