"""What a number of a run is called, its unit, and which way it is better, and how a run can end: said once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """Which way a measure is better; the words are Optuna's."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class Kind(StrEnum):
    """Quality is what a trick is for; a cost is what it takes, counted from runs that had their device alone."""

    QUALITY = "quality"
    COST = "cost"


class RunState(StrEnum):
    """Where a planned run is. Diverged is an outcome of its settings; failed is a fault that says nothing of them."""

    COMPLETE = "complete"
    DIVERGED = "diverged"
    PRUNED = "pruned"
    RUNNING = "running"
    WAITING = "waiting"
    FAILED = "failed"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number that a run ends with.

    `name` is its key in summaries, MLflow and the run table, `title` what readers call it, `unit` "" where it has none.
    `part_of` names the measure that this one is a component of, `yardstick_of` the one that this is by another
    yardstick: the same quantity on a scale of its own. `rate_of` is the unit of steps that it counts a second of,
    `error_of` the measure that it is the standard error of: how far another sample of the same run's would move it.
    """

    name: str
    title: str
    unit: str = ""
    direction: Direction = Direction.MINIMIZE
    kind: Kind = Kind.QUALITY
    part_of: str = ""
    yardstick_of: str = ""
    rate_of: str = ""
    error_of: str = ""

    @property
    def sign(self) -> int:
        """+1 where more is better, -1 where less is."""
        return 1 if self.direction is Direction.MAXIMIZE else -1

    def improves(self, change: float) -> bool:
        """Whether a change of the measure is for the better."""
        return self.sign * change > 0

    @property
    def heading(self) -> str:
        """The title with its unit, for a column or an axis: `train time, s`."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    @property
    def better(self) -> str:
        """`lower` or `higher`: what is better, in words."""
        return "higher" if self.direction is Direction.MAXIMIZE else "lower"


TRAIN_SECONDS = Measure(name="train_seconds", title="train time", unit="s", kind=Kind.COST)
PEAK_MEMORY = Measure(name="peak_memory_mb", title="peak memory", unit="MB", kind=Kind.COST)
COSTS = (TRAIN_SECONDS, PEAK_MEMORY)
"""What every run costs, whatever its recipe."""
