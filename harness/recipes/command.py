"""A recipe that is a command in any language: it prints its measures as lines of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.measures import Measure
from harness.recipes import Recipe
from harness.recipes.run import Run
from harness.settings import Settings


class CommandRecipe(Recipe):
    """`{command: [...], settings: {...}}` of a spec in `folder` as a recipe."""

    objective = Measure(name="", title="")
    settings = Settings

    def __init__(self, raw: Mapping[str, Any], folder: Path) -> None:
        self.name = " ".join(raw["command"])

    def train(self, settings: Any, run: Run) -> Mapping[str, float]:
        """Run the command."""
        raise NotImplementedError
