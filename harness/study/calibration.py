"""How long a plan will take: each cell's recipe trained for a moment, in a process of its own, on this device."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from harness.design import Cell, Plan
from harness.errors import StudyError
from harness.recipes import checkpoint, process
from harness.recipes.events import Failed, Finished, Noted, Progress, Scored, Started
from harness.runs.description import Launcher
from harness.runs.processes import ProcessLauncher
from harness.settings import Budget
from harness.spec.refusals import build
from harness.study.placement import Placement, describe
from harness.study.trainings import leaders

LIMIT = 30.0
"""Seconds after which a run that has told no progress is taken for one of unknown length."""
_FIRST = 120.0  # seconds before the first run tells anything, while caches are filled and libraries loaded
_FIRST_AWAY = 1800.0  # seconds that a cluster gets, where data are prepared before the first run and slots may be taken
_WATCHED = 1.5  # seconds of progress that a pace is worked out from
_SHORT = 0.5  # seconds of training of a run that is let end, to see what comes before and after
_GRACE = 5.0  # seconds that a run gets to stop when it is asked to; a command gets its own, to be gone from the machine


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What one run of a cell takes, in seconds: its training, and all else (its start, scores, what ends it).

    `rate` is in the plan's unit a second, 0 where it is not known. Where the run told no progress and did not end in
    time it is `unknown`: it takes longer than what is said. `failed` is the reason where the cell cannot be run.
    """

    train_seconds: float
    other_seconds: float
    rate: float = 0.0
    unknown: bool = False
    failed: str = ""

    @property
    def seconds(self) -> float:
        """In all."""
        return self.train_seconds + self.other_seconds


def calibrate(plan: Plan, *, placement: Placement) -> dict[str, Estimate]:
    """What one run of each cell will take by itself.

    A cell that shares another's training takes none of its own where that one's run left a checkpoint when it was
    watched; otherwise it trains like it.

    A run is watched until its pace is known and then stopped, and run again for a moment's budget to its end. Where
    the recipe has a `rehearsal`, that says what scores cost. Raises StudyError where the control does not run, and
    where jobs wait for Slurm.
    """
    refuse_queued(placement)
    first = leaders(plan)
    control = plan.cell(plan.control)
    rehearsal = plan.address.load().rehearsal(plan.evaluate)
    stage = _Stage(plan, placement, rehearsal[0] if rehearsal else plan.evaluate)
    try:
        found = {control.name: stage.estimate(control)}
        if why := found[control.name].failed:
            raise StudyError(f"timing the control cell '{control.name}' failed: {why}")
        for cell in plan.cells:
            if cell is not control and first.get(cell.name, cell.name) == cell.name:
                # Where nothing is known of the control after all that time, the others would say no more.
                found[cell.name] = found[control.name] if found[control.name].unknown else stage.estimate(cell)
        scores = 0.0
        if rehearsal is not None:
            few, more, times = rehearsal
            scores = times * max(0.0, stage.whole(control, more) - stage.whole(control, few))
    finally:
        stage.close()
    found = {name: replace(each, other_seconds=each.other_seconds + scores) for name, each in found.items()}
    for cell in plan.cells:
        if cell.name not in found:
            led = found[first[cell.name]]
            found[cell.name] = replace(led, train_seconds=0.0, rate=0.0) if first[cell.name] in stage.kept else led
    return {cell.name: found[cell.name] for cell in plan.cells}


def refuse_queued(placement: Placement) -> None:
    """Raises StudyError where runs are jobs in a queue: nobody can watch one for a moment."""
    if placement.seats.slurm is not None:
        raise StudyError(
            "--launch slurm: runs cannot be timed before their jobs start, which --dry-run and design.max_hours need; "
            "plan without --launch slurm, on a machine like those of the jobs, and take max_hours out of the spec"
        )


@dataclass
class _Watched:
    """What was seen of a run: points of (seconds since its start, of training, share of its budget, step)."""

    points: list[tuple[float, float, float, int]] = field(default_factory=list)
    rate: float = 0.0
    wall: float = 0.0
    summary: dict[str, float] | None = None  # where it ended well
    failed: str = ""

    @property
    def pace(self) -> _Pace | None:
        """By the points between which its share of the budget grew; the first steps are slower, and left out."""
        told: list[tuple[float, float, float, int]] = []
        for point in self.points:
            if not told or point[2] > told[-1][2]:
                told.append(point)
        if len(told) > 3 and told[-1][0] - told[1][0] > _WATCHED / 2:
            told = told[1:]
        if len(told) < 2:
            return None
        (wall, trained, share, step), (last_wall, last_trained, last_share, last_step) = told[0], told[-1]
        grown = last_share - share
        seconds = max(0.0, last_trained - trained)
        return _Pace(
            wall=(last_wall - wall) / grown,
            trained=seconds / grown,
            rate=max(0, last_step - step) / seconds if seconds > 0 else 0.0,
            span=last_wall - wall,
        )


@dataclass(frozen=True)
class _Pace:
    """Seconds that a whole budget takes, in all and of training; steps a second of training; seconds watched."""

    wall: float
    trained: float
    rate: float
    span: float


class _Killing(Launcher, Protocol):
    def kill(self, slot: int) -> None:
        """End the run in `slot` at once, without an event."""


def _launcher(placement: Placement) -> _Killing:
    """One slot like those that the study will have."""
    if placement.there is None:
        return ProcessLauncher(1)
    from harness.runs.ray import RayLauncher

    return RayLauncher(1, cpus=placement.there.cpus, gpu=placement.there.gpu, address=placement.there.cluster)


class _Stage:
    """A slot in which runs are watched, stopped, and let end after a moment's budget."""

    def __init__(self, plan: Plan, placement: Placement, evaluate: Any) -> None:
        self._plan = plan
        self._placement = placement
        self._evaluate = evaluate
        self._grace = process.GRACE + _GRACE if plan.address.is_command else _GRACE
        self._launcher = _launcher(placement)
        self._cold = True  # whether the process has yet to load what recipes import
        self._paces: dict[str, _Pace] = {}
        self.kept: set[str] = set()
        """The cells whose runs left a checkpoint, which others could go on from."""

    def close(self) -> None:
        self._launcher.close()

    def estimate(self, cell: Cell) -> Estimate:
        """What a run of the cell takes, by a run that is watched, and one of a moment's budget."""
        cold = self._cold
        seen = self._watch(cell, self._evaluate, self._plan.budget)
        if seen.summary is not None and cold and seen.wall < LIMIT / 2:  # what was loaded is no part of a run
            seen = self._watch(cell, self._evaluate, self._plan.budget)
        if seen.failed:
            return Estimate(train_seconds=0.0, other_seconds=seen.wall, failed=seen.failed)
        pace = seen.pace
        if seen.summary is not None:
            train = min(seen.summary["train_seconds"], seen.wall)
            return Estimate(train_seconds=train, other_seconds=seen.wall - train, rate=self._rate(seen, pace))
        if pace is None:
            return Estimate(train_seconds=seen.wall, other_seconds=0.0, unknown=True)
        self._paces[cell.name] = pace
        timed = self._plan.budget.timed
        train = self._plan.budget.amount if timed else pace.trained
        other = max(0.0, pace.wall - pace.trained) * (train / pace.trained if pace.trained > 0 else 1.0)
        budget = self._moment(pace)
        short = self._watch(cell, self._evaluate, budget, whole=True) if budget is not None else _Watched()
        if budget is not None and short.summary is not None:
            # Of the short run all but the share of the budget that it trained for comes once, whatever the budget.
            share = self._share_of(short, budget, pace)
            train_once = max(0.0, short.summary["train_seconds"] - share * pace.trained)
            other += max(0.0, short.wall - share * pace.wall - train_once)
            train += train_once
        else:
            other += seen.points[0][0]
        return Estimate(train_seconds=train, other_seconds=other, rate=self._rate(seen, pace))

    def whole(self, cell: Cell, evaluate: Any) -> float:
        """Seconds of a run of the cell with a moment's budget, 0 where it does not end in time."""
        pace = self._paces.get(cell.name)
        budget = self._moment(pace) if pace else self._plan.budget
        seen = self._watch(cell, evaluate, budget, whole=True) if budget is not None else _Watched()
        return seen.wall if seen.summary is not None else 0.0

    def _rate(self, seen: _Watched, pace: _Pace | None) -> float:
        """The plan's unit a second, 0 where the run does not count it."""
        own = self._plan.budget.unit == self._plan.unit
        return (pace.rate if pace else 0.0) or (seen.rate if own else 0.0)

    def _moment(self, pace: _Pace) -> Budget | None:
        """A budget that is soon spent; None where the recipe has none so small."""
        budget = self._plan.budget
        kind = type(budget)
        if not budget.unit or budget.timed:
            amount: float = min(_SHORT, budget.amount) if budget.timed else _SHORT
            return build(kind, {"seconds": amount})[0] if "seconds" in kind.model_fields else None
        amount = budget.amount * _SHORT / max(pace.wall, _SHORT)
        if isinstance(getattr(budget, budget.unit), int):
            amount = math.ceil(amount)
        return build(kind, {budget.unit: amount})[0] if pace.wall * amount / budget.amount < LIMIT / 2 else None

    def _share_of(self, short: _Watched, budget: Budget, pace: _Pace) -> float:
        """The share of the plan's budget that a short run trained for."""
        if budget.unit == self._plan.budget.unit and not budget.timed:
            return budget.amount / self._plan.budget.amount
        spent = next((trained for _, trained, share, _ in short.points if share >= 1), budget.amount)
        return spent / pace.trained if pace.trained > 0 else 0.0

    def _watch(self, cell: Cell, evaluate: Any, budget: Budget, *, whole: bool = False) -> _Watched:
        """A run of the cell until its pace is known, or, `whole`, until it ends; at most `LIMIT` seconds."""
        plan = replace(self._plan, evaluate=evaluate, budget=budget)
        seen, stopped = _Watched(), math.inf
        first = _FIRST_AWAY if self._placement.away else max(LIMIT, _FIRST)
        limit = first if self._cold else LIMIT
        with tempfile.TemporaryDirectory() as folder, self._noting(cell, Path(folder)):
            self._launcher.submit(0, describe(plan, cell, plan.runs[0], self._placement, slot=0, folder=Path(folder)))
            began = time.monotonic()
            while True:
                for _, event in self._launcher.events(timeout=0.05):
                    if isinstance(event, Noted):
                        continue
                    limit = LIMIT
                    seen.wall = time.monotonic() - began
                    match event:
                        case Started() if self._cold:
                            began += seen.wall
                        case Progress():
                            share = event.fraction or self._counted(plan, event.step)
                            seen.points.append((seen.wall, event.train_seconds, share, event.step))
                            seen.rate = event.rate or seen.rate
                        case Scored():
                            share = self._counted(plan, event.step)
                            seen.points.append((seen.wall, event.train_seconds, share, event.step))
                        case Finished():
                            self._cold = False
                            # What a recipe returns that was told to stop is not that of a whole run.
                            seen.summary = event.summary if math.isinf(stopped) else None
                            return seen
                        case Failed():
                            self._cold = False
                            seen.failed = event.reason if math.isinf(stopped) else ""
                            return seen
                seen.wall = time.monotonic() - began
                if seen.wall - stopped > self._grace:
                    self._launcher.kill(0)
                    self._cold = True
                    return seen
                if math.isinf(stopped) and (seen.wall > limit or (not whole and self._known(seen))):
                    self._launcher.interrupt(0)
                    stopped = seen.wall

    @contextmanager
    def _noting(self, cell: Cell, folder: Path) -> Iterator[None]:
        """Note at the end whether the cell's run in `folder` left a checkpoint."""
        yield
        if checkpoint.kept(folder):
            self.kept.add(cell.name)

    def _known(self, seen: _Watched) -> bool:
        """Whether the pace is known, and the run will not soon end by itself."""
        pace = seen.pace
        return pace is not None and pace.span >= _WATCHED and pace.wall > 3 * _WATCHED

    def _counted(self, plan: Plan, step: int) -> float:
        """The share of the budget at a step, where steps count the budget's unit."""
        return min(1.0, step / plan.budget.amount) if plan.budget.unit == plan.unit and plan.budget.amount else 0.0
