"""What the store hands out and keeps: a claimed run, a study's results, and how a trial is told to be of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial

from harness.design import Cell, Plan, PlannedRun
from harness.errors import HarnessError
from harness.recipes.address import Address
from harness.study.store import outcomes


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A run the coordinator took from the queue.

    `source` is the digest of the recipe's source, "" for an installed one.
    """

    number: int
    run: PlannedRun
    cell: Cell
    attempt: int
    source: str


@dataclass(frozen=True, kw_only=True)
class Results:
    """What a study holds of a plan: the plan with all that a search tried, its run table, its learning curves."""

    plan: Plan
    runs: pd.DataFrame
    curves: dict[tuple[str, int], list[tuple[int, float]]]
    importances: dict[str, dict[str, float]]


def identity(cell: Cell, run: PlannedRun, attempt: int) -> dict[str, Any]:
    """The attributes by which a trial is known to be an attempt at a run."""
    return {"key": run.key, "cell": cell.name, "levels": cell.levels, "seed": run.seed, "attempt": attempt}


def tried(plan: Plan, trials: Sequence[FrozenTrial]) -> Plan:
    """The plan of a search with every run that was tried or waits; any other plan as it is."""
    search = plan.search
    if search is None:
        return plan
    made = (search.make(trial.user_attrs["levels"], trial.user_attrs["seed"]) for _, trial in outcomes.keyed(trials))
    return plan.with_tried(each for each in made if not isinstance(each, str))


def source_of(address: Address) -> str:
    """The digest of a recipe's source as it is now; "" for an installed recipe, and where it cannot be read."""
    try:
        return address.digest()
    except (HarnessError, OSError):  # while a study runs its source may be in the middle of an edit
        return ""
