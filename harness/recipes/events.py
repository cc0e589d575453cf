"""What a run tells its coordinator: plain frozen data that crosses processes and machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

SOURCE = "harness.source.digest"
"""The fact of a run that says which source of its recipe was run."""


class Cause(StrEnum):
    """Why a run did not end well.

    It diverged; its recipe raised an error; it needed more memory than there was; the process or machine that trained
    it died, or gave no sign of life; it was stopped to go on later, given up, or is not in the plan.
    """

    DIVERGED = "diverged"
    ERROR = "error"
    MEMORY = "out of memory"
    LOST = "lost"
    HUNG = "hung"
    INTERRUPTED = "interrupted"
    PRUNED = "pruned"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, kw_only=True)
class DataUsed:
    """Data that a run reads: `digest` tells equal data apart from other data of the same name, `role` is what for."""

    name: str
    digest: str
    source: str
    role: str


@dataclass(frozen=True, kw_only=True)
class Started:
    """The run has its data and networks; training begins. `facts` become the run's tags, `data` its inputs."""

    facts: dict[str, str]
    data: tuple[DataUsed, ...] = ()
    resumed_at: int = 0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the run is, and curves since the last event: name -> list of (step, value).

    `step` counts the recipe's unit, `rate` is in units a second (0 where it is not known), `fraction` the share of the
    budget that is spent, 0 to 1.
    """

    step: int
    train_seconds: float
    rate: float = 0.0
    fraction: float = 0.0
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Measures by name at a step, the objective among them."""

    step: int
    train_seconds: float
    scores: dict[str, float]
    final: bool = False


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file the run left in its folder, to be kept under `kind` (grid, nearest, generator), or a checkpoint."""

    step: int
    path: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Noted:
    """A word for whoever watches: a checkpoint was thrown away, a disk is full."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The run ended well. `summary` holds its measures by name, the costs among them.

    `trained_from` is the key of the run whose training it went on from, "" where it was trained by itself.
    """

    step: int
    summary: dict[str, float]
    trained_from: str = ""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The run ended badly."""

    kind: Cause
    reason: str
    details: str = ""


Event = Started | Progress | Scored | Artifact | Noted | Finished | Failed
