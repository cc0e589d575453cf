"""The loop that runs a study: reconcile, ask Optuna, place in a slot, keep what slots tell in journals, tell Optuna."""

from __future__ import annotations

import json
import math
import time
import traceback
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.analysis import effects
from harness.design import Plan
from harness.errors import StudyError
from harness.measures import TRAIN_SECONDS
from harness.recipes.events import SOURCE, Cause, Event, Failed, Finished, Noted, Progress, Scored, Started
from harness.runs.description import Launcher, RunDescription
from harness.study.interrupts import Interrupts
from harness.study.journal import Journal, Kept
from harness.study.looks import document, metrics, words
from harness.study.notes import waiting
from harness.study.placement import Placement
from harness.study.placing import Placing, Running
from harness.study.progress import Display, duration, shown
from harness.study.queue import Queue
from harness.study.recording import unwritten
from harness.study.store import Claim, Standing, StudyStore
from harness.study.store.patience import WhileWaiting
from harness.study.trainings import Trainings

if TYPE_CHECKING:  # they load MLflow
    from harness.study.mirror import Mirror
    from harness.study.tracking import Tracker

# Facts of a run that its trial keeps: where its costs compare, and the source as it was loaded in its slot.
_FACTS = {"device.name": "device_name", SOURCE: "source"}
_GRACE = 120.0  # seconds that running runs get to save a checkpoint after Ctrl-C
_AT_THE_END = 5.0  # seconds that a storage gets which does not answer, when the study ends
_CHILD = 2.0  # seconds that an MLflow which answers gets to make a run, so that its trial can name it


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


@dataclass(kw_only=True)
class Coordinator:
    """Drives the runs of one plan. Slots never see the stores; this class never sees a tensor.

    A slot has as many places as runs may be trained together in it, whose events come by their places: that of slot i
    are those from i times so many on.

    Whatever a slot tells is in the run's journal before anything else is done with it. While Optuna's storage does not
    answer the slots are listened to all the same; what is to be told waits in `_pending`.
    """

    plan: Plan
    store: StudyStore
    mirror: Mirror
    journal: Journal
    launcher: Launcher
    display: Display
    placement: Placement
    interrupts: Interrupts
    tags: Mapping[str, str]
    standing: Standing
    queue: Queue
    launch: str = ""
    outcome: Outcome = field(default_factory=Outcome)
    _busy: dict[int, Running] = field(default_factory=dict)
    _arrived: deque[tuple[int, Event]] = field(default_factory=deque)  # events that no journal has yet
    _pending: deque[tuple[int, Event]] = field(default_factory=deque)  # events that Optuna is to be told
    _faults: dict[str, str] = field(default_factory=dict)  # key -> reason, of runs whose last attempt failed
    _wait: WhileWaiting = field(init=False)  # says what is waited for
    _placing: Placing = field(init=False)
    _saving: bool = False  # the slots were asked to save
    _saved_by: float = 0.0  # when that is not waited for any more

    def __post_init__(self) -> None:
        self._wait = waiting(self.display.note, self._wish_to_stop, "; training goes on")
        self._placing = Placing(
            plan=self.plan,
            store=self.store,
            journal=self.journal,
            placement=self.placement,
            tags=self.tags,
            launch=self.launch,
        )
        self._take(self.standing)

    def run(self) -> Outcome:
        """Train every run of the queue. Ctrl-C saves checkpoints and comes back with `interrupted`."""
        before, self.store.while_waiting = self.store.while_waiting, self._while_waiting
        with self.display.live():
            try:
                self._loop()
            except KeyboardInterrupt:
                self.outcome.interrupted = True
                self._drain()
            finally:
                self._abandon()
                self.store.while_waiting = before
                self.journal.close()
        return self.outcome

    def _loop(self) -> None:
        while True:
            self.interrupts.check()
            for place in self._free():
                if not self._all_fail and (claim := self._claim()) is not None:
                    self._place(place, claim)
            if not self._busy:
                if not self._all_fail and self._next_wave():
                    continue
                break
            self._listen(timeout=0.5)
            self._tell_all()
        if self._all_fail:
            raise StudyError(
                f"the first {self.outcome.failed} runs all failed: {self.outcome.reasons[0]}; "
                "mend that and start again, what is missing is run then"
            )

    def _free(self) -> list[int]:
        """The first place of each slot that trains nothing."""
        together = self.placement.replicates
        busy = {place // together for place in self._busy}
        return [slot * together for slot in range(self.launcher.slots) if slot not in busy]

    def _claim(self) -> Claim | None:
        """The next run of those that are asked for: others that wait are of waves that there is no time for."""
        return self.store.claim(self.plan if self.plan.search else self.standing.plan)

    def _next_wave(self) -> bool:
        """Queue the runs that the looks ask for now; whether there are any."""
        if self.plan.waves is None:
            return False
        standing = self.queue.fill()
        if not (standing.pending or standing.reused):
            self._show_looks()
            return False
        self._take(standing)
        return True

    def _take(self, standing: Standing) -> None:
        """Go on from where the runs stand; those of other studies are taken over."""
        self._show_looks()
        self.standing = standing
        self._trainings = Trainings(self.store.runs, standing)
        for run in self.plan.runs:
            if (taken := standing.reused.get(run.key)) is not None:
                self.store.adopt(self.plan, run, taken, taken.mlflow_run)
        if standing.reused:
            self.mirror.hold(unwritten(self.store, self.plan, self.journal, self.tags, standing.reused))
        self.display.stands(
            total=standing.plan.size, done=standing.done + len(standing.reused), failed=len(standing.spent)
        )

    def _show_looks(self) -> None:
        """Show and log the looks that are new."""
        if not (untold := self.queue.untold()):
            return
        last, found = untold[-1], effects(self.queue.runs, self.plan, self.plan.objective.name)
        for look in untold:
            self.display.note(words(look, self.plan, found if look is last else ()))
        assert self.queue.course is not None
        numbers = [number for look in untold for number in metrics(look, self.plan)]
        looks = json.dumps(document(self.queue.course, self.plan), indent=2)

        def log(tracker: Tracker) -> None:
            tracker.numbers(tracker.parent, numbers)
            tracker.text(tracker.parent, looks, "looks.json")

        self.mirror.ask(log)
        self.store.show(f"# {self.store.name}\n\n{words(last, self.plan, found)}\n", {})
        self.queue.told()

    @property
    def _all_fail(self) -> bool:
        """Every run of a first wave failing is a fault of the set-up: more runs would only repeat it."""
        ended, most = self.outcome, max(2, self.launcher.slots * self.placement.replicates)
        well = self.standing.done or self.standing.reused or ended.complete or ended.diverged or ended.pruned
        return ended.failed >= most and not well

    def _place(self, place: int, claim: Claim) -> None:
        """Train a run in the slot whose places begin at `place`, and with it others of its cell where several may."""
        running: list[Running] = []
        for each in self._placing.claimed(claim, self._trainings, self.standing.plan):
            self._busy[place + len(running)] = each
            running.append(each)
        if not running:
            return
        descriptions: list[RunDescription] = []
        for each in running:
            description = self._placing.describe(each, slot=place // self.placement.replicates)
            self.display.started(place + len(descriptions), each.name)
            self._keep(each.key, self._placing.began(each, len(running)))
            self.mirror.goes_on(each.key)
            self._placing.attach(each, description.device, len(running))
            descriptions.append(description)
        self.launcher.submit(place, *descriptions)
        for each in running:
            each.placed = True

    # ------------------------------------------------------------------ what slots tell, into journals

    def _listen(self, timeout: float) -> None:
        """Take what slots tell within `timeout` seconds into the journals; what Optuna is told of it waits."""
        self._arrived += self.launcher.events(timeout)
        while self._arrived:
            self._note(*self._arrived[0])
            self._arrived.popleft()

    def _note(self, slot: int, event: Event) -> None:
        running = self._busy[slot]
        key, last = running.key, isinstance(event, Finished | Failed)
        if running.ended or (running.spoilt and not last):
            return
        try:
            event = running.spoilt or self._sound(running, event)
            new = self._keep(key, event)
            match event:
                case Progress():
                    self.display.progressed(slot, event)
                case Noted():
                    self.display.note(f"{running.name}: {event.text}")
                case Started() | Scored() | Finished() | Failed():
                    self._pending.append((slot, event))
        except StudyError:
            raise
        except Exception as error:  # an event that nobody can read is the end of its run alone
            new = self._spoil(slot, error, last=last)
        running.ended = last
        if new:
            self.mirror.wrote(key, ended=last)

    def _sound(self, running: Running, event: Event) -> Event:
        """The event, or how the run failed where it ends in no result that can be compared."""
        match event:
            case Finished():
                for objective in self.plan.objectives:
                    if objective.name not in event.summary:
                        has = ", ".join(event.summary) or "nothing"
                        reason = f"it ended without '{objective.name}', which is the objective; it has {has}"
                        return Failed(kind=Cause.ERROR, reason=reason)
                    if not math.isfinite(value := event.summary[objective.name]):
                        return Failed(kind=Cause.DIVERGED, reason=f"it ended with {objective.name} {value}")
            case Failed(kind=Cause.INTERRUPTED) if running.hopeless:
                return replace(event, kind=Cause.PRUNED, reason="worse than the median of the others at the same step")
        return event

    def _spoil(self, slot: int, error: Exception, *, last: bool) -> bool:
        """The run in `slot` fails by what it told; where that was not its end, when its end comes."""
        running = self._busy[slot]
        reason = f"what it told cannot be read: {type(error).__name__}: {str(error)[:300]}"
        running.spoilt = Failed(kind=Cause.ERROR, reason=reason, details="".join(traceback.format_exception(error)))
        if not last:
            self.launcher.interrupt(slot)
            return False
        self._pending.append((slot, running.spoilt))
        return self._keep(running.key, running.spoilt)

    def _keep(self, key: str, kept: Kept) -> bool:
        """Add to the journal of a run; a disk that is full, or away, is waited for."""
        at, began = int(time.time() * 1000), time.monotonic()
        while True:
            try:
                return self.journal.append(key, kept, at)
            except OSError as error:
                waited = time.monotonic() - began
                self._wait(f"{self.journal.path(key)} cannot be written ({error.strerror})", waited)
                time.sleep(1.0)

    # ------------------------------------------------------------------ waiting

    def _while_waiting(self, reason: str, seconds: float) -> None:
        """Optuna's storage does not answer: slots are listened to meanwhile, and asked to save where that is asked."""
        self._wait(reason, seconds)
        if self._busy:
            self._listen(timeout=0.5)

    def _wish_to_stop(self) -> None:
        """Ask slots to save where one wants to stop; raises KeyboardInterrupt where one does not want to wait."""
        if self.interrupts.count and not self._saving:
            self._save()
        self.interrupts.check(more_than=1)
        if self._saving and (not self._saves or time.monotonic() > self._saved_by):
            raise KeyboardInterrupt  # all is in the journals: the next start tells it

    # ------------------------------------------------------------------ what Optuna is told

    def _tell_all(self) -> None:
        while self._pending:
            slot, event = self._pending[
                0
            ]  # it stays until it is told: what is raised before, or just after, may be a wish to stop
            running = self._busy.get(slot)
            try:
                if running is not None and running.spoilt in (None, event):
                    self._tell(slot, running, event)
            except StudyError:
                raise
            except Exception as error:
                if running is None or running.spoilt is event or running.told:
                    raise
                if self._spoil(slot, error, last=running.ended):
                    self.mirror.wrote(running.key, ended=True)
            self._pending.popleft()

    def _tell(self, slot: int, running: Running, event: Event) -> None:
        number = running.claim.number
        match event:
            case Started():
                known = {name: event.facts[fact] for fact, name in _FACTS.items() if fact in event.facts}
                self.store.attach(number, **known)
                if event.resumed_at and running.trained is None:
                    self.display.note(f"{running.name}: resumed after {event.resumed_at:,} {self.plan.unit}")
            case Scored():
                self.display.scored(slot, event)
                self.store.report(number, event.step, event.scores[self.plan.objective.name])
                if not event.final and not running.hopeless and self.store.is_hopeless(number):
                    running.hopeless = True
                    self.launcher.interrupt(slot)
            case Finished():
                self._finish(slot, running, event)
            case Failed():
                self._fail(slot, running, event)

    def _finish(self, slot: int, running: Running, event: Finished) -> None:
        summary, objective, number = event.summary, self.plan.objective, running.claim.number
        if not running.told:
            self._name_child(running)
            if event.trained_from:
                self.store.attach(number, trained_from=event.trained_from)
            self.store.complete(number, summary)
            running.told = True
        for follower in self._trainings.complete(running.claim.run):
            self.store.enqueue(self.plan, follower)
        self.outcome.complete += 1
        self._faults.pop(running.key, None)
        self._count_faults()
        score = f"{objective.title} {shown(summary[objective.name], objective.unit)}"
        spent = f"{duration(summary.get(TRAIN_SECONDS.name, 0.0))} of training"
        self._release(
            slot, f"{score} after the {spent} that it shares" if event.trained_from else f"{score} in {spent}"
        )

    def _fail(self, slot: int, running: Running, event: Failed) -> None:
        cause, reason, run = event.kind, event.reason, running.claim.run
        if not running.told:
            self._name_child(running)
            self.store.fail(running.claim.number, cause, reason, event.details)
            running.told = True
        again = self.store.try_again(self.store.tried(self.plan), run, cause)
        if cause in (Cause.DIVERGED, Cause.PRUNED):
            self.outcome.diverged += cause is Cause.DIVERGED
            self.outcome.pruned += cause is Cause.PRUNED
        elif cause is not Cause.INTERRUPTED and not again:
            self._faults[run.key] = reason
            self._count_faults()
        if again:
            del self._busy[slot]
            self.display.again(slot, f"{cause.value}: {reason}")
            return
        if cause is not Cause.INTERRUPTED and cause is not Cause.PRUNED:
            for follower in self._trainings.failed(run, settled=cause is Cause.DIVERGED):
                self.store.enqueue(self.plan, follower)
        self._release(slot, f"{cause.value}: {reason}", failed=cause is not Cause.PRUNED)

    def _name_child(self, running: Running) -> None:
        """Let a trial that ends say which run of MLflow is its own, where that is known."""
        if child := self.mirror.run_of(running.key, _CHILD):
            self.store.attach(running.claim.number, mlflow_run_id=child)

    def _count_faults(self) -> None:
        """A run that failed and was tried again with success has not failed."""
        self.outcome.failed = len(self._faults)
        self.outcome.reasons = [*self._faults.values(), *self.standing.spent.values()]

    def _release(self, slot: int, outcome: str, *, failed: bool = False) -> None:
        del self._busy[slot]
        self.display.finished(slot, outcome, failed=failed)

    # ------------------------------------------------------------------ stopping

    @property
    def _saves(self) -> int:
        """How many slots have a run that has not ended."""
        return sum(running.placed and not running.ended for running in self._busy.values())

    def _save(self) -> None:
        self._saving, self._saved_by = True, time.monotonic() + _GRACE
        if self._saves:
            self.display.note(f"stopping: {self._saves} run(s) save a checkpoint (Ctrl-C again to give up on them)")
            self.launcher.interrupt()

    def _drain(self) -> None:
        """Let the running runs save a checkpoint. A second Ctrl-C, or too long a wait, gives up on that."""
        with suppress(KeyboardInterrupt):
            if not self._saving:
                self._save()
            self._tell_all()
            while self._saves and time.monotonic() < self._saved_by:
                self.interrupts.check(more_than=1)
                self._listen(timeout=0.5)
                self._tell_all()

    def _abandon(self) -> None:
        """Whatever still runs is failed here, so that neither store shows it as running.

        What Optuna cannot be told any more it is by the next start, from the journals.
        """
        lost = Failed(kind=Cause.INTERRUPTED, reason="stopped before it could save a checkpoint")
        with suppress(StudyError, KeyboardInterrupt):
            while self._arrived:
                self._note(*self._arrived[0])
                self._arrived.popleft()
        for slot, running in self._busy.items():
            with suppress(OSError):  # a full disk
                if not running.ended:
                    self.journal.append(running.key, lost, int(time.time() * 1000))
                    running.ended = True
                    self._pending.append((slot, lost))
            self.mirror.wrote(running.key, ended=True)
        until = time.monotonic() + 3 * _AT_THE_END
        with suppress(KeyboardInterrupt), self.store.hurried(_AT_THE_END):
            while self._pending and time.monotonic() < until:
                slot, event = self._pending.popleft()
                told = self._busy.get(slot)
                if told is not None and told.spoilt in (None, event):
                    with suppress(Exception):  # the storage does not answer, or another coordinator has ended it
                        self._tell(slot, told, event)
