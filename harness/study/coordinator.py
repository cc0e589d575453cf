"""The loop that runs a study: reconcile, ask Optuna, place in a slot, forward events to Optuna and MLflow, tell."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness.analysis import effects
from harness.design import Plan
from harness.errors import StudyError
from harness.measures import TRAIN_SECONDS
from harness.recipes.events import SOURCE, Artifact, Cause, Event, Failed, Finished, Noted, Progress, Scored, Started
from harness.runs.boundary import TRACEBACK
from harness.runs.description import Launcher
from harness.study.interrupts import Interrupts, counted
from harness.study.looks import document, metrics, words
from harness.study.placement import Placement, describe
from harness.study.progress import Display, duration, shown
from harness.study.queue import Queue
from harness.study.recording import adopt, identity, note, parameters
from harness.study.store import Claim, Standing, StudyStore
from harness.study.tracking import Tracker
from harness.study.trainings import Trainings

# Facts of a run that its trial keeps: where its costs compare, and the source as it was loaded in its slot.
_FACTS = {"device.name": "device_name", SOURCE: "source"}
_GRACE = 120.0  # seconds that running runs get to save a checkpoint after Ctrl-C


@dataclass
class Outcome:
    """How the runs that were trained here ended; `given_up` are those that failed too often before."""

    complete: int = 0
    diverged: int = 0
    pruned: int = 0
    failed: int = 0
    given_up: int = 0
    interrupted: bool = False
    reasons: list[str] = field(default_factory=list)


@dataclass
class _Running:
    claim: Claim
    name: str
    mlflow_run: str
    directory: Path
    trained: Path | None  # the folder of the finished run whose training this is
    hopeless: bool = False  # asked to stop, since the pruner gave it up
    last: Scored | None = None


@dataclass(kw_only=True)
class Coordinator:
    """Drives the runs of one plan. Slots never see the stores; this class never sees a tensor."""

    plan: Plan
    store: StudyStore
    tracker: Tracker
    launcher: Launcher
    display: Display
    placement: Placement
    tags: Mapping[str, str]
    standing: Standing
    queue: Queue
    launch: str = ""
    outcome: Outcome = field(default_factory=Outcome)
    _busy: dict[int, _Running] = field(default_factory=dict)
    _faults: dict[str, str] = field(default_factory=dict)  # key -> reason, of runs whose last attempt failed

    def __post_init__(self) -> None:
        self._take(self.standing)

    def run(self) -> Outcome:
        """Train every run of the queue. Ctrl-C saves checkpoints and comes back with `interrupted`."""
        with counted() as interrupts, self.display.live():
            try:
                self._loop(interrupts)
            except KeyboardInterrupt:
                self.outcome.interrupted = True
                self._drain(interrupts)
            finally:
                self._abandon()
        return self.outcome

    def _loop(self, interrupts: Interrupts) -> None:
        while True:
            interrupts.check()
            for slot in range(self.launcher.slots):
                if slot not in self._busy and not self._all_fail and (claim := self._claim()) is not None:
                    self._place(slot, claim)
            if not self._busy:
                if not self._all_fail and self._next_wave():
                    continue
                break
            for slot, event in self.launcher.events(timeout=0.5):
                self._forward(slot, event)
        if self._all_fail:
            raise StudyError(
                f"the first {self.outcome.failed} runs all failed: {self.outcome.reasons[0]}; "
                "mend that and start again, what is missing is run then"
            )

    def _claim(self) -> Claim | None:
        """The next run of those that are asked for: others that wait are of waves that there is no time for."""
        return self.store.claim(self.plan if self.plan.search else self.standing.plan)

    def _next_wave(self) -> bool:
        """Queue the runs that the looks ask for now; whether there are any."""
        if self.plan.waves is None:
            return False
        standing = self.queue.fill()
        if not (standing.pending or standing.reused):
            self._tell()
            return False
        self._take(standing)
        return True

    def _take(self, standing: Standing) -> None:
        """Go on from where the runs stand; those of other studies are taken over."""
        self._tell()
        self.standing = standing
        self._trainings = Trainings(self.store.runs, standing)
        adopt(self.store, self.tracker, self.plan, standing.reused, dict(self.tags))
        self.display.stands(
            total=standing.plan.size, done=standing.done + len(standing.reused), failed=len(standing.spent)
        )

    def _tell(self) -> None:
        """Show and log the looks that are new."""
        if not (untold := self.queue.untold()):
            return
        last, found = untold[-1], effects(self.queue.runs, self.plan, self.plan.objective.name)
        for look in untold:
            self.display.note(words(look, self.plan, found if look is last else ()))
            self.tracker.log(self.tracker.parent, metrics(look, self.plan))
        self.tracker.flush(self.tracker.parent)
        assert self.queue.course is not None
        self.tracker.text(
            self.tracker.parent, json.dumps(document(self.queue.course, self.plan), indent=2), "looks.json"
        )
        self.store.show(f"# {self.store.name}\n\n{words(last, self.plan, found)}\n", {})
        self.queue.told()

    @property
    def _all_fail(self) -> bool:
        """Every run of a first wave failing is a fault of the set-up: more runs would only repeat it."""
        ended, most = self.outcome, max(2, self.launcher.slots)
        well = self.standing.done or self.standing.reused or ended.complete or ended.diverged or ended.pruned
        return ended.failed >= most and not well

    def _place(self, slot: int, claim: Claim) -> None:
        planned, cell = claim.run, claim.cell
        directory = self.store.runs / planned.key
        trained = self._trainings.folder(planned)
        if trained is None and self._trainings.holds(planned):
            self.store.fail(claim.number, Cause.WITHDRAWN, "waits for the training that it shares")
            return
        description = describe(self.plan, cell, planned, self.placement, slot=slot, folder=directory, trained=trained)
        name, device = description.name, description.device
        share = -(-self.launcher.slots // len(self.placement.devices))
        mlflow_run = self.tracker.start(
            name,
            parameters=parameters(self.plan, cell, planned),
            tags={
                **self.tags,
                **identity(self.store.name, cell, planned, claim.source),
                "optuna.trial": str(claim.number),
                "harness.attempt": str(claim.attempt),
                "slots_per_device": str(share),
            },
            resume=claim.previous,
        )
        self.store.attach(
            claim.number,
            name=name,
            mlflow_run_id=mlflow_run,
            device=device,
            slots_per_device=share,
            launch=self.launch,
        )
        self.store.note(claim.number, note(cell, planned, claim.attempt, mlflow_run))
        self._busy[slot] = _Running(claim, name, mlflow_run, directory, trained)
        self.display.started(slot, name)
        self.launcher.submit(slot, description)

    def _forward(self, slot: int, event: Event) -> None:
        running = self._busy[slot]
        match event:
            case Started():
                self.tracker.set_tags(running.mlflow_run, event.facts)
                known = {name: event.facts[fact] for fact, name in _FACTS.items() if fact in event.facts}
                self.store.attach(running.claim.number, **known)
                self.tracker.inputs(running.mlflow_run, event.data)
                if event.resumed_at and running.trained is None:
                    self.display.note(f"{running.name}: resumed after {event.resumed_at:,} {self.plan.unit}")
            case Progress():
                self.display.progressed(slot, event)
                curves = [(name, value, step) for name, points in event.curves.items() for step, value in points]
                rate = (f"{self.plan.unit}_per_second_now", event.rate, event.step)
                self.tracker.log(running.mlflow_run, [*curves, *([rate] if event.rate else [])])
            case Scored():
                self.display.scored(slot, event)
                running.last = event
                self.store.report(running.claim.number, event.step, event.scores[self.plan.objective.name])
                self.tracker.log(running.mlflow_run, [(*score, event.step) for score in event.scores.items()])
                self.tracker.flush(running.mlflow_run)
                if not event.final and not running.hopeless and self.store.is_hopeless(running.claim.number):
                    running.hopeless = True
                    self.launcher.interrupt(slot)
            case Artifact():
                if event.kind != "checkpoint":
                    self.tracker.artifact(running.mlflow_run, Path(event.path), event.kind)
            case Noted():
                self.display.note(f"{running.name}: {event.text}")
            case Finished():
                self._finish(slot, running, event)
            case Failed():
                self._fail(slot, running, event)

    def _finish(self, slot: int, running: _Running, event: Finished) -> None:
        summary, objective = event.summary, self.plan.objective
        scored = running.last.scores if running.last and running.last.step == event.step else {}
        new = [(name, value, event.step) for name, value in summary.items() if name not in scored]
        self.tracker.log(running.mlflow_run, new)
        self.tracker.finish(running.mlflow_run, "FINISHED")
        if event.trained_from:
            self.store.attach(running.claim.number, trained_from=event.trained_from)
        self.store.complete(running.claim.number, summary)
        for follower in self._trainings.complete(running.claim.run):
            self.store.enqueue(self.plan, follower)
        self.outcome.complete += 1
        self._faults.pop(running.claim.run.key, None)
        self._count_faults()
        score = f"{objective.title} {shown(summary[objective.name], objective.unit)}"
        spent = f"{duration(summary[TRAIN_SECONDS.name])} of training"
        self._release(
            slot, f"{score} after the {spent} that it shares" if event.trained_from else f"{score} in {spent}"
        )

    def _fail(self, slot: int, running: _Running, event: Failed) -> None:
        cause, reason = event.kind, event.reason
        if running.hopeless and cause is Cause.INTERRUPTED:
            cause, reason = Cause.PRUNED, "worse than the median of the others at the same step"
        stopped = cause in (Cause.INTERRUPTED, Cause.PRUNED)
        self.tracker.set_tags(running.mlflow_run, {"harness.failure": cause.value, "harness.reason": reason})
        if event.details:
            self.tracker.text(running.mlflow_run, event.details, TRACEBACK)
        self.tracker.finish(running.mlflow_run, "KILLED" if stopped else "FAILED")
        self.store.fail(running.claim.number, cause, reason)
        run = running.claim.run
        if cause in (Cause.DIVERGED, Cause.PRUNED):
            self.outcome.diverged += cause is Cause.DIVERGED
            self.outcome.pruned += cause is Cause.PRUNED
            shutil.rmtree(running.directory, ignore_errors=True)
        elif not stopped:
            self._faults[run.key] = reason
            self._count_faults()
        if cause in (Cause.DIVERGED, Cause.ERROR):
            for follower in self._trainings.failed(run, settled=cause is Cause.DIVERGED):
                self.store.enqueue(self.plan, follower)
        self._release(slot, f"{cause.value}: {reason}", failed=cause is not Cause.PRUNED)

    def _count_faults(self) -> None:
        """A run that failed and was tried again with success has not failed."""
        self.outcome.failed = len(self._faults)
        self.outcome.reasons = [*self._faults.values(), *self.standing.spent.values()]

    def _release(self, slot: int, outcome: str, *, failed: bool = False) -> None:
        del self._busy[slot]
        self.display.finished(slot, outcome, failed=failed)

    def _drain(self, interrupts: Interrupts) -> None:
        """Let the running runs save a checkpoint. A second Ctrl-C, or too long a wait, gives up on that."""
        if not self._busy:
            return
        self.display.note(f"stopping: {len(self._busy)} run(s) save a checkpoint (Ctrl-C again to give up on them)")
        with suppress(KeyboardInterrupt):
            self.launcher.interrupt()
            until = time.monotonic() + _GRACE
            while self._busy and time.monotonic() < until:
                interrupts.check(more_than=1)
                for slot, event in self.launcher.events(timeout=0.5):
                    self._forward(slot, event)

    def _abandon(self) -> None:
        """Whatever still runs is failed here, so that neither store shows it as running."""
        lost = Failed(kind=Cause.INTERRUPTED, reason="stopped before it could save a checkpoint")
        for slot, running in list(self._busy.items()):
            with suppress(StudyError):  # another coordinator has ended it
                self._fail(slot, running, lost)
