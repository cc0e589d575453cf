"""What a study will run: cells, the contrasts between them, and runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.factors import Level
from harness.settings import Budget, DataSettings, EvaluateSettings


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One combination of levels, with its complete settings as plain JSON values."""

    name: str
    levels: dict[str, Level]
    train: dict[str, Any]
    data: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A factor's level against its baseline, over pairs of (treated cell, control cell) within one design.

    The cells of a pair differ in nothing else, but for fractional designs: there the pairs match the treated half of
    the cells with the other half, and only their mean is the effect.
    """

    name: str
    factor: str
    level: Level
    baseline: Level
    pairs: tuple[tuple[str, str], ...]
    design: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A cell trained with a seed. `key` is the run's identity: equal keys mean equal runs, in whatever study."""

    cell: str
    seed: int
    key: str


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A cell of the design that cannot be run, and why."""

    name: str
    levels: dict[str, Level]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a study will run. `control` names the cell that the others are held against."""

    study: str
    recipe: str
    design: str
    cells: tuple[Cell, ...]
    contrasts: tuple[Contrast, ...]
    runs: tuple[PlannedRun, ...]
    dropped: tuple[Dropped, ...]
    control: str
    budget: Budget
    evaluate: EvaluateSettings
    references: dict[str, DataSettings]
    fingerprint: str
    confounding: tuple[str, ...] = ()

    def cell(self, name: str) -> Cell:
        """The cell called `name`. Raises KeyError where there is none."""
        for cell in self.cells:
            if cell.name == name:
                return cell
        raise KeyError(name)
