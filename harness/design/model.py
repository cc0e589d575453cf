"""What a study will run: cells, the contrasts between them, and runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from harness.measures import COSTS, TRAIN_SECONDS, Kind, Measure
from harness.recipes.address import Address
from harness.settings import Budget
from harness.spec.designs import Sampler, Test
from harness.spec.factors import Level
from harness.spec.seeds import Waves
from harness.spec.worth import USUAL, Worth

NOWHERE = Address()
"""The address of a plan that was not made from a spec."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One combination of levels, with its complete settings: instances of the recipe's models."""

    name: str
    levels: dict[str, Level]
    train: BaseModel
    data: BaseModel

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting as a plain JSON value: `train.NAME` and `data.NAME`."""
        return {
            f"{section}.{name}": value
            for section, model in (("train", self.train), ("data", self.data))
            for name, value in model.model_dump(mode="json").items()
        }


@dataclass(frozen=True, kw_only=True)
class Alias:
    """A two-factor interaction of which a main effect holds `share` (-1..1): they cannot be told apart."""

    factors: tuple[str, str]
    share: float


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A factor's level against its baseline, over pairs of (treated cell, control cell) within one design.

    The cells of a pair differ in nothing else, but for fractional designs, which are not `matched`: there the pairs are
    the treated half of the cells with the other half, and only the mean over all of them is the effect.
    """

    name: str
    factor: str
    level: Level
    baseline: Level
    pairs: tuple[tuple[str, str], ...]
    design: str = ""
    matched: bool = True
    aliases: tuple[Alias, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A cell trained with a seed. `key` is the run's identity: equal keys mean equal runs, in whatever study.

    `training` is equal for runs that differ in nothing but settings used at sampling only: they share one training, the
    first of them in the plan's order being the one that is trained. It is the key where there are no such settings.
    """

    cell: str
    seed: int
    key: str
    training: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "training", self.training or self.key)


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A cell of the design that cannot be run, and why."""

    name: str
    levels: dict[str, Level]
    reason: str


Tried = tuple[Cell, PlannedRun]


@dataclass(frozen=True, kw_only=True)
class Search:
    """Where a sampler may look: `trials` runs, each of a cell that it names with the cell's next free seed."""

    sampler: Sampler
    trials: int
    prune: bool
    levels: dict[str, tuple[Level, ...]]
    seeds: tuple[int, ...]
    make: Callable[[dict[str, Level], int], Tried | str]
    """The cell and its run with a seed, or why the cell is impossible."""

    def free(self, levels: dict[str, Level], taken: Container[str]) -> Tried | None:
        """The cell at `levels` with its first seed whose run is not `taken`; None where there is none."""
        for seed in self.seeds:
            made = self.make(levels, seed)
            if isinstance(made, str):
                return None
            if made[1].key not in taken:
                return made
        return None

    def another(self, taken: Container[str], generator: random.Random, *, attempts: int = 1000) -> Tried | None:
        """A run of a cell drawn at random that is not `taken`; None where so many draws find none."""
        draws = ({name: generator.choice(levels) for name, levels in self.levels.items()} for _ in range(attempts))
        return next(filter(None, (self.free(drawn, taken) for drawn in draws)), None)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a study may run. `control` names the cell that the others are held against.

    With `waves` its runs are those that it may come to; how far it has come is `analysis.course`. Under a `search`
    cells and runs are those tried so far, the control's first; `size` counts those to come too.
    """

    study: str
    recipe: str  # its name, for readers; `address` says where it is found
    objective: Measure
    design: str
    cells: tuple[Cell, ...]
    contrasts: tuple[Contrast, ...]
    runs: tuple[PlannedRun, ...]
    dropped: tuple[Dropped, ...]
    control: str
    budget: Budget
    evaluate: Any  # an instance of the recipe's model
    references: Mapping[str, BaseModel]
    fingerprint: str
    measures: tuple[Measure, ...] = ()  # all that runs end with beside the objective, their time and their memory
    worth: Worth = USUAL
    """The smallest effect that would be worth having; it changes no run."""
    waves: Waves | None = None
    """How the seeds of its runs come one after the other until all is decided; None: all of its runs are run."""
    test: Test = "t"
    """How differences are tested."""
    unit: str = "steps"
    """What steps count, in the plural."""
    address: Address = NOWHERE
    confounding: tuple[str, ...] = ()
    search: Search | None = None

    @property
    def data(self) -> list[BaseModel]:
        """The distinct data settings that its runs read: training sets, then reference sets."""
        read = [*(cell.data for cell in self.cells), *self.references.values()]
        return list({data.model_dump_json(): data for data in read}.values())

    @property
    def costs(self) -> tuple[Measure, ...]:
        """What runs cost: training time and peak memory, and what the recipe counts as a cost."""
        return (*COSTS, *(each for each in self.measures if each.kind is Kind.COST))

    @property
    def objectives(self) -> tuple[Measure, ...]:
        """What a trial is told: the objective, with what it costs where a search's sampler weighs both."""
        both = self.search is not None and self.search.sampler == "nsga2"
        return (self.objective, TRAIN_SECONDS) if both else (self.objective,)

    @property
    def size(self) -> int:
        """How many runs the study will have."""
        return self.search.trials if self.search else len(self.runs)

    @property
    def trainings(self) -> int:
        """How many trainings the runs take: fewer where some share one."""
        return len({run.training for run in self.runs})

    def cell(self, name: str) -> Cell:
        """The cell called `name`. Raises KeyError where there is none."""
        return {cell.name: cell for cell in self.cells}[name]

    def with_tried(self, tried: Iterable[Tried]) -> Plan:
        """This plan of a search with the cells and runs that were tried."""
        cells = {cell.name: cell for cell in self.cells}
        runs = {run.key: run for run in self.runs}
        for cell, run in tried:
            cells.setdefault(cell.name, cell)
            runs.setdefault(run.key, run)
        return replace(self, cells=tuple(cells.values()), runs=tuple(runs.values()))
