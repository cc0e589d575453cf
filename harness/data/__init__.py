"""Photos and boxes in, square training images out. Importing this package loads nothing heavy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.data.prepared import Prepared, prepare
    from harness.data.sources import check

__all__ = ["Prepared", "check", "prepare"]

_HOME = {"Prepared": "prepared", "prepare": "prepared", "check": "sources"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'harness.data' has no attribute '{name}'")
    return getattr(importlib.import_module(f"harness.data.{_HOME[name]}"), name)
