"""Runs that slots are given: what is told of each as it begins, and which others of its cell are trained with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.design import Plan, PlannedRun
from harness.recipes.events import Artifact, Cause, Failed
from harness.runs.description import RunDescription
from harness.study.journal import Began, Journal
from harness.study.placement import Placement, describe, together
from harness.study.recording import attempt_tags, identity, note, parameters, title
from harness.study.store import Claim, StudyStore
from harness.study.trainings import Trainings, kept


@dataclass
class Running:
    """A run that was claimed, from then on until Optuna is told how it ended."""

    claim: Claim
    trained: Path | None  # the folder of the finished run whose training this is
    placed: bool = False  # its slot has it
    hopeless: bool = False  # asked to stop, since the pruner gave it up
    spoilt: Failed | None = None  # why it fails whatever it tells from now on
    ended: bool = False  # its journal has its end
    told: bool = False  # Optuna too

    @property
    def name(self) -> str:
        """For readers."""
        return title(self.claim.cell, self.claim.run)

    @property
    def key(self) -> str:
        return self.claim.run.key


@dataclass(kw_only=True)
class Placing:
    """Chooses the runs that a slot trains, one or several of a cell together, and says what is known of them then."""

    plan: Plan
    store: StudyStore
    journal: Journal
    placement: Placement
    tags: Mapping[str, str]
    launch: str

    def claimed(self, first: Claim, trainings: Trainings, asked: Plan) -> Iterator[Running]:
        """The run and, from those that are `asked` for, others to be trained with it: each is taken as it is asked for.

        None where the run is to wait for another that trains for it. Others are those of its cell that wait and go on
        from the same step; a run that goes on from another's training is trained with nobody.
        """
        trained = trainings.folder(first.run)
        if trained is None and self._waits(first, trainings):
            return
        yield Running(first, trained)
        left = together(self.plan, first.cell, self.placement.replicates) - 1
        if trained is not None or not left:
            return
        saved = self._saved(first.run)
        alike = {
            run.key
            for run in asked.runs
            if run.cell == first.cell.name and trainings.folder(run) is None and self._saved(run) == saved
        }
        while left and (other := self.store.claim(asked, among=alike)) is not None:
            if not self._waits(other, trainings):
                left -= 1
                yield Running(other, None)

    def _waits(self, claim: Claim, trainings: Trainings) -> bool:
        waits = trainings.holds(claim.run)
        if waits:
            self.store.fail(claim.number, Cause.WITHDRAWN, "waits for the training that it shares")
        return waits

    def _saved(self, run: PlannedRun) -> int | None:
        """The step of its last checkpoint, None where it starts anew. A recipe finds out for itself where it is not."""
        if not kept(self.store.runs, run):
            return None
        told = (line.kept for line in self.journal.read(run.key))
        return max((each.step for each in told if isinstance(each, Artifact) and each.kind == "checkpoint"), default=0)

    def describe(self, running: Running, slot: int) -> RunDescription:
        """What the slot needs to train it."""
        claim, folder = running.claim, self.store.runs / running.key
        return describe(
            self.plan, claim.cell, claim.run, self.placement, slot=slot, folder=folder, trained=running.trained
        )

    @property
    def _share(self) -> int:
        """How many slots share a device."""
        return -(-self.placement.slots // len(self.placement.devices))

    def began(self, running: Running, replicates: int) -> Began:
        """What its journal says first, where so many runs are trained together."""
        claim = running.claim
        own = identity(self.store.name, claim.cell, claim.run, claim.source)
        own |= attempt_tags(claim.number, claim.attempt, self._share, replicates)
        return Began(
            attempt=claim.attempt,
            trial=claim.number,
            name=running.name,
            parameters=parameters(self.plan, claim.cell, claim.run),
            tags={**self.tags, **own},
        )

    def attach(self, running: Running, device: str | None, replicates: int) -> None:
        """Tell its trial where and how it is trained."""
        claim, number = running.claim, running.claim.number
        self.store.attach(
            number,
            name=running.name,
            device=device,
            slots_per_device=self._share,
            replicates=replicates,
            launch=self.launch,
        )
        self.store.note(number, note(claim.cell, claim.run, claim.attempt))
