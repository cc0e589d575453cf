"""A recipe: a trainer with typed settings. Others register theirs under the entry point group `harness.recipes`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pydantic import BaseModel

from harness.errors import SpecError, nearest
from harness.measures import Measure
from harness.recipes.events import Event
from harness.settings import Budget

if TYPE_CHECKING:
    import pandas as pd


class Interrupted(Exception):  # noqa: N818 - an outcome, like KeyboardInterrupt
    """Raised by a recipe that was asked to stop, after it saved a checkpoint to go on from."""


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What a recipe is given beside its settings: the run's seed, data, yardstick, budget, folder and event sink.

    `data`, `evaluate` and `references` are instances of the recipe's own models.
    """

    seed: int
    directory: Path
    data: Any
    evaluate: Any
    references: Mapping[str, Any]
    budget: Budget
    emit: Callable[[Event], None]
    device: str | None = None
    should_stop: Callable[[], bool] = lambda: False


@runtime_checkable
class Recipe(Protocol):
    """A trainer with typed settings, and all that a study must know of it.

    Three pydantic models, a description on each field, are the sections of a spec and what runs are given. Factors may
    name fields of the first two; how runs are scored never moves with the treatment.
    """

    name: str
    objective: Measure

    @property
    def settings(self) -> type[BaseModel]:
        """The section `train`."""

    @property
    def data(self) -> type[BaseModel]:
        """The section `data`."""

    @property
    def evaluate(self) -> type[BaseModel]:
        """The section `evaluate`."""

    def measures(self, evaluate: Any) -> tuple[Measure, ...]:
        """All that a run ends with beside the objective and the costs."""

    def references(self, data: Any, evaluate: Any) -> Mapping[str, BaseModel]:
        """Name -> the data of each fixed set that runs trained on `data` are scored against. Raises SpecError."""

    def check(self, data: Sequence[Any], evaluate: Any) -> None:
        """Refuse what cannot be run, quickly and before anything is written. Raises HarnessError.

        `data` are the distinct data settings that a study reads, reference sets included.
        """

    def prepare(self, data: Sequence[Any], evaluate: Any, *, workers: int, note: Callable[[str], None]) -> None:
        """Make ready, once, what all slots will read; `note` is told of each part. Raises HarnessError."""

    def notes(self, runs: pd.DataFrame, evaluate: Any) -> list[str]:
        """What a reader of the run table (a row a run, a column a measure) must know, in whole sentences."""

    def train(self, settings: Any, run: RunContext) -> dict[str, float]:
        """Train one run and return its measures by name, the costs among them.

        Emits `Started`, then `Progress`, `Scored` and `Artifact` as it goes. Raises `DivergedError` where training
        leaves the finite numbers, and `Interrupted` where it was asked to stop and saved a checkpoint.
        """

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
