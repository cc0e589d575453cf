"""A recipe: a trainer with typed settings. Others register theirs under the entry point group `harness.recipes`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from harness.data.settings import DataSettings
from harness.errors import SpecError, nearest
from harness.measures import Measure
from harness.recipes.dcgan.settings import EvaluateSettings
from harness.recipes.events import Event
from harness.settings import Budget


class Interrupted(Exception):  # noqa: N818 - an outcome, like KeyboardInterrupt
    """Raised by a recipe that was asked to stop, after it saved a checkpoint to go on from."""


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What a recipe is given beside its settings: the run's seed, data, yardstick, budget, folder and event sink."""

    seed: int
    directory: Path
    data: DataSettings
    evaluate: EvaluateSettings
    references: dict[str, DataSettings]
    budget: Budget
    emit: Callable[[Event], None]
    device: str | None = None
    should_stop: Callable[[], bool] = lambda: False


@runtime_checkable
class Recipe(Protocol):
    """A trainer with typed settings.

    `train` emits `Started`, then `Progress`, `Scored` and `Artifact` as it goes, and returns the summary of the run
    (at least mifid, fid, memorization_distance, train_seconds, images_per_second, peak_memory_mb). It raises
    `DivergedError` where training leaves the finite numbers. `sample` draws images from a finished run's folder.
    """

    name: str
    objective: Measure

    def measures(self, evaluate: EvaluateSettings) -> tuple[Measure, ...]:
        """All that a run ends with beside the objective and the costs."""

    @property
    def settings(self) -> type[BaseModel]:
        """The model of the recipe's settings, each with a description."""

    def train(self, settings: Any, run: RunContext) -> dict[str, float]: ...

    def sample(self, directory: Path, *, count: int, seed: int, device: str | None = None) -> Any:
        """uint8 [count, 3, size, size] images of the finished run in `directory`."""


def names() -> list[str]:
    """Names of the recipes that are installed."""
    return sorted({entry.name for entry in entry_points(group="harness.recipes")} | {"dcgan"})


def get(name: str) -> Recipe:
    """The recipe called `name`. Raises SpecError where there is none."""
    if name == "dcgan":
        from harness.recipes.dcgan.recipe import Dcgan

        return Dcgan()
    for entry in entry_points(group="harness.recipes"):
        if entry.name == name:
            recipe: Recipe = entry.load()()
            return recipe
    raise SpecError(f"recipe '{name}' is not installed; {nearest(name, names())}")
