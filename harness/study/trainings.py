"""Runs that share a training: who may go now, whose checkpoint they go on from, and when that may be deleted."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from harness.design import Plan, PlannedRun
from harness.measures import RunState
from harness.recipes import checkpoint
from harness.runs import retelling
from harness.study.store import Standing


class Trainings:
    """The trainings of a study's runs, as they stand at a start and while it goes on.

    The first run of a training to be placed trains; once it is complete the others go on from its checkpoint, which is
    kept until the last of them is settled.
    """

    def __init__(self, runs: Path, standing: Standing) -> None:
        self._runs = runs
        self._held = {training: list(runs) for training, runs in standing.held.items()}
        self._group: dict[str, list[PlannedRun]] = defaultdict(list)
        if standing.plan.search is None:
            for run in standing.plan.runs:
                self._group[run.training].append(run)
        self._complete = {key for key, state in standing.settled.items() if state is RunState.COMPLETE}
        waiting = [*standing.queued, *(run for runs in standing.held.values() for run in runs)]
        self._open = {run.key for run in waiting} | standing.waiting
        self._leading: dict[str, str] = {}  # training -> key of the run that is trained
        self._leaves = True  # whether the recipe leaves checkpoints, as long as no run has shown otherwise
        for group in self._group.values():
            self._sweep(group)

    def folder(self, run: PlannedRun) -> Path | None:
        """The folder of a finished run that was trained as `run` is, and still has its checkpoint."""
        for other in self._group[run.training]:
            if other is not run and other.key in self._complete and kept(self._runs, other):
                return self._runs / other.key
        return None

    def holds(self, run: PlannedRun) -> bool:
        """Whether `run`, which has no checkpoint to go on from, must wait for one of its training that is trained now.

        It waits with the others then. Where the recipe leaves no checkpoint there is nothing to wait for.
        """
        if not self._group[run.training]:
            return False
        leader = self._leading.setdefault(run.training, run.key)
        waits = leader != run.key and self._leaves
        if waits:
            self._held.setdefault(run.training, []).append(run)
        return waits

    def complete(self, run: PlannedRun) -> list[PlannedRun]:
        """`run` ended well; the runs that waited for it."""
        if self._ended(run) and not kept(self._runs, run):
            self._leaves = False
        self._open.discard(run.key)
        self._complete.add(run.key)
        self._sweep(self._group[run.training] or [run])
        return self._held.pop(run.training, [])

    def failed(self, run: PlannedRun, *, settled: bool) -> list[PlannedRun]:
        """`run` failed by a fault or, `settled`, diverged; the next run of its training to try, if one waits.

        Either may be its own: in drawing at its own level, which others of its training do not share.
        """
        self._ended(run)
        if settled:
            self._open.discard(run.key)
            self._sweep(self._group[run.training])
        waiting = self._held.get(run.training, [])
        return [waiting.pop(0)] if waiting else []

    def _ended(self, run: PlannedRun) -> bool:
        """Nobody waits for `run` any more; whether it was the one of its training that trained."""
        led = self._leading.get(run.training) == run.key
        if led:
            del self._leading[run.training]
        return led

    def _sweep(self, group: list[PlannedRun]) -> None:
        """Delete the checkpoints of finished runs that nobody needs any more."""
        if not any(run.key in self._open for run in group):
            for run in group:
                if run.key in self._complete:
                    checkpoint.remove(self._runs / run.key)
                    retelling.remove(self._runs / run.key)


def kept(runs: Path, run: PlannedRun) -> bool:
    """Whether the checkpoint of a run that is done is still there, in the folder of its study's runs."""
    return checkpoint.kept(runs / run.key)


def leaders(plan: Plan) -> dict[str, str]:
    """Cell -> the first cell of the plan whose trainings its runs share; its own where they are theirs alone."""
    if plan.search is not None:  # its runs are named one by one, and each trains
        return {cell.name: cell.name for cell in plan.cells}
    first: dict[str, str] = {}
    return {run.cell: first.setdefault(run.training, run.cell) for run in plan.runs}


def sampled_factors(plan: Plan) -> list[str]:
    """The factors of a design whose levels share a training: they play a part at sampling only."""
    levels = {cell.name: cell.levels for cell in plan.cells}
    found: dict[str, None] = {}
    for cell, leader in leaders(plan).items():
        found |= {name: None for name, level in levels[cell].items() if level != levels[leader][name]}
    return list(found)
