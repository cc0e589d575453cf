"""Designed ablations for training recipes: which trick earns its keep, by how much, how surely, at what cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.errors import DivergedError
    from harness.measures import Measure
    from harness.recipes.function import recipe
    from harness.recipes.run import Interrupted, Run

__version__ = "0.1.0"
__all__ = ["DivergedError", "Interrupted", "Measure", "Run", "recipe"]

_PLACES = {
    "DivergedError": "errors",
    "Interrupted": "recipes.run",
    "Measure": "measures",
    "Run": "recipes.run",
    "recipe": "recipes.function",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    from importlib import import_module  # the command line's list of commands loads nothing that it does not need

    return getattr(import_module(f"harness.{_PLACES[name]}"), name)
