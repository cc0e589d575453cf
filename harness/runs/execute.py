"""Runs in this process: a function from run descriptions to a stream of events, of one run or of several together."""

from __future__ import annotations

import errno
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import DivergedError, RecipeError
from harness.files import locks
from harness.machine.devices import device_name, peak_memory_mb, reset_peak_memory
from harness.measures import COSTS, PEAK_MEMORY, TRAIN_SECONDS
from harness.recipes import Interrupted, Recipe, Run
from harness.recipes.events import SOURCE, Cause, Event, Failed, Finished, Noted, Started
from harness.recipes.run import Outcome
from harness.runs import folder
from harness.runs.boundary import TRACEBACK, checked, fault, guarded
from harness.runs.description import RunDescription
from harness.runs.preparing import prepare
from harness.runs.retelling import Retelling

Emit = Callable[[Event], None]


def execute(description: RunDescription, emit: Emit, should_stop: Callable[[], bool] = lambda: False) -> None:
    """Train one run in this process. Emits the run's events and always ends with Finished or Failed.

    What the recipe emits and returns is checked here: nothing but finite numbers, the objective among them, leaves a
    slot, and whatever it raises is the end of this run alone. KeyboardInterrupt goes on to the caller after that.
    """
    together([(description, emit)], should_stop)


def together(runs: Sequence[tuple[RunDescription, Emit]], should_stop: Callable[[], bool] = lambda: False) -> None:
    """Train runs of one cell as one program in this process; each is told of, and ends, as by `execute`.

    One whose folder another process works in ends alone, and so does one that its recipe ends. What the recipe raises
    ends all that have not ended.
    """
    members = [_Member(description, emit, should_stop) for description, emit in runs]
    try:
        if held := [each for each in members if each.hold()]:
            _train(held)
    except BaseException as error:
        for each in members:
            each.end(error)
        if isinstance(error, KeyboardInterrupt):
            raise


def _train(members: Sequence[_Member]) -> None:
    first = members[0].description
    recipe = first.address.load()
    source = first.address.loaded_digest()
    if first.prepare:
        prepare(recipe, first, lambda text: members[0].emit(Noted(text=text)))
    with ExitStack() as around:
        if not first.address.is_command:  # a command draws and computes elsewhere, and knows its own peak
            from harness.runs.leftovers import put_back  # loads torch

            around.enter_context(put_back())
            _settle(first)
            reset_peak_memory(first.device or "cpu")
        replicates = tuple(each.begin(recipe, source) for each in members)
        for run in replicates:
            run.replicates = (run, *(other for other in replicates if other is not run))
        returned = recipe.train(first.train, replicates[0])
    if not members[0].ended:
        members[0].finish(returned)
    for each in members:
        each.end(
            RecipeError(f"recipe '{recipe.name}' returned before it ended the run of seed {each.description.seed}")
        )


@dataclass
class _Member:
    """One of the runs that are trained together: whose folder it is, what it tells, how it ends."""

    description: RunDescription
    emit: Emit
    should_stop: Callable[[], bool]
    ended: bool = False
    _lock: ExitStack = field(default_factory=ExitStack)
    _run: Run = field(init=False)
    _tell: Retelling = field(init=False)

    def hold(self) -> bool:
        """Be the only one who works in the run's folder; False where another does, which ends the run."""
        try:
            self._lock.enter_context(
                locks.held(Path(self.description.directory), lambda text: self.emit(Noted(text=text)), self.should_stop)
            )
        except locks.HeldError as error:
            self.end(error)
        else:
            (Path(self.description.directory) / TRACEBACK).unlink(missing_ok=True)
        return not self.ended

    def begin(self, recipe: Recipe, source: str) -> Run:
        """The run as its recipe sees it."""
        description = self.description
        # What was begun by another source is not gone on with.
        identity = f"{description.identity or description.key}{f'-{source}' if source else ''}"
        tell = self._tell = Retelling(description, identity, self._send)
        opening = _opening(tell, source, description.device or "cpu")
        run = self._run = Run(
            seed=description.seed,
            directory=Path(description.directory),
            objective=description.objective,
            recipe=recipe.name,
            unit=recipe.unit,
            data=description.data,
            evaluate=description.evaluate,
            references=description.references,
            budget=description.budget,
            device=description.device,
            threads=description.threads,
            identity=identity,
            trained=Path(description.trained) if description.trained else None,
            emit=guarded(opening, recipe.name, description.objective),
            stop=self.should_stop,
            end=self.finish,
        )
        if description.address.is_command:  # it goes on by itself, from nobody knows where
            tell.since = lambda resumed: None
        else:
            tell.since = lambda resumed: resumed if run.saved is None else run.saved
        return run

    def _send(self, event: Event) -> None:
        """Nothing is told of a run after its end."""
        if not self.ended:
            self.emit(event)

    def finish(self, outcome: Outcome) -> None:
        """The run ends with what its recipe returned of it, or by what ended it."""
        try:
            if isinstance(outcome, Exception):
                raise outcome
            last = self._finished(outcome)
        except Exception as error:
            self.end(error)
        else:
            self._last(last)

    def end(self, error: BaseException) -> None:
        """The run ends by an error, unless it has ended before."""
        if not self.ended:
            self._last(self._failed(error))

    def _last(self, event: Finished | Failed) -> None:
        self.ended = True
        self._lock.close()  # whoever hears of the end may begin anew in the folder
        self.emit(event)

    def _failed(self, error: BaseException) -> Failed:
        if isinstance(error, Interrupted):
            return Failed(kind=Cause.INTERRUPTED, reason=str(error) or "asked to stop")
        if isinstance(error, locks.HeldError):
            return Failed(kind=Cause.INTERRUPTED if self.should_stop() else Cause.LOST, reason=str(error))
        if isinstance(error, DivergedError):
            return Failed(kind=Cause.DIVERGED, reason=str(error))
        return fault(error, self.description.address, self.description.directory)

    def _finished(self, returned: Mapping[str, float]) -> Finished:
        description, run = self.description, self._run
        self._tell.tell_again()
        if run.told_to_stop:  # no other sign tells what a recipe returns when it stops from the result of a whole run
            raise Interrupted(f"stopped after {run.step:,} {run.unit}")
        summary = checked(returned, run.recipe, description.objective)
        if description.trained and run.trained_from:  # what the training cost, which this run did not do
            before = folder.about(Path(description.trained)).get("summary", {})
            summary = {cost.name: before[cost.name] for cost in COSTS if cost.name in before} | summary
        summary.setdefault(TRAIN_SECONDS.name, run.seconds / len(run.replicates))
        if PEAK_MEMORY.name not in summary:
            summary[PEAK_MEMORY.name] = peak_memory_mb(description.device or "cpu")
        _describe(description, run.recipe, summary, self.emit, self.should_stop)
        return Finished(step=run.step, summary=summary, trained_from=run.trained_from)


def _describe(
    description: RunDescription,
    recipe: str,
    summary: Mapping[str, float],
    emit: Emit,
    should_stop: Callable[[], bool],
) -> None:
    """Leave in the run's folder what it says of itself; a disk that is full is waited for, like a journal's."""
    said = False
    while True:
        try:
            folder.describe(description, recipe, summary)
            return
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            if should_stop():
                raise Interrupted(f"stopped while it waited for a disk that is full: {description.directory}") from None
            if not said:
                emit(Noted(text=f"{description.directory} cannot be written ({error.strerror}): waiting"))
                said = True
            time.sleep(1.0)


def _opening(emit: Emit, source: str, device: str) -> Emit:
    """`emit`, with Started as the first event: it says what source is run, and where, if the recipe does not."""
    about = {SOURCE: source} if source else {}
    begun = False

    def send(event: Event) -> None:
        nonlocal begun
        if isinstance(event, Started) or not begun:
            begun = True
            own = event.facts if isinstance(event, Started) else {}
            facts = {**own, **about}
            if "device.name" not in facts:
                facts["device.name"] = device_name(device)
            emit(replace(event, facts=facts) if isinstance(event, Started) else Started(facts=facts))
        if not isinstance(event, Started):
            emit(event)

    return send


def _settle(description: RunDescription) -> None:
    """Threads, and the global generators, which are seeded for each run; for several together by the first one's."""
    import torch

    if description.threads is not None:
        torch.set_num_threads(description.threads)
    torch.manual_seed(description.seed)
    random.seed(description.seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(description.seed % 2**32)
