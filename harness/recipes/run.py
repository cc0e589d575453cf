"""A run as its recipe sees it: what it is given, and what it tells the harness as it goes."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import DivergedError, RecipeError, SpecError
from harness.measures import Measure
from harness.recipes.events import Artifact, Event, Noted, Progress, Scored, Started
from harness.settings import Budget

if TYPE_CHECKING:
    import torch

    from harness.recipes.streams import Streams

_EVERY = 0.5  # seconds between reports of progress
_NO_STATE = (AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError)
"""What comes of a checkpoint that holds other things than a run keeps."""

Outcome = Mapping[str, float] | Exception
"""How a run ends: its measures by name, or what ended it."""


class Interrupted(Exception):  # noqa: N818 - an outcome, like KeyboardInterrupt
    """Raised by a recipe that was asked to stop, after it saved a checkpoint to go on from."""


class Run:
    """One run, as its recipe sees it.

    `unit` is what the recipe's steps count. `data`, `evaluate` and `budget` are instances of the recipe's own models,
    `references` the data of each fixed set that runs are scored against. `device` is `cpu` or `cuda:N`, `threads` the
    CPU's threads that are the run's to use (None: all), `directory` the run's own folder. `trained` is the folder of a
    finished run that differs in settings used at sampling alone: its training is this run's too.
    """

    def __init__(
        self,
        *,
        seed: int,
        directory: Path,
        objective: Measure,
        emit: Callable[[Event], None],
        recipe: str = "",
        unit: str = "steps",
        data: Any = None,
        evaluate: Any = None,
        references: Mapping[str, Any] | None = None,
        budget: Budget | None = None,
        device: str | None = None,
        threads: int | None = None,
        identity: str = "",
        trained: Path | None = None,
        stop: Callable[[], bool] = lambda: False,
        end: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        self.seed = seed
        self.directory = directory
        self.objective = objective
        self.recipe = recipe
        self.unit = unit
        self.data = data
        self.evaluate = evaluate
        self.references = references or {}
        self._budget = budget or Budget()
        self.device = device
        self.threads = threads
        self.identity = identity
        self.trained = trained
        self._emit = emit
        self._stop = stop
        self._end = end
        self.replicates: tuple[Run, ...] = (self,)
        """The runs that this call of `train` trains as one program: of one cell, each with a seed of its own.

        The run itself is the first of them, and the only one unless the recipe's `replicates` allows more.
        """
        self.ended = False
        """Whether `end` was called: nothing more is told of it."""
        self.trained_from = ""
        """The name of that folder where the run went on from it: `restore` notes it; who reads it himself must."""
        self.told_to_stop = False
        """Whether the recipe has been told to stop: what it returns then is not the result of a whole run."""
        self.step = 0
        """The last step that was reported."""
        self.saved: int | None = None
        """The step of the last checkpoint on the disk."""
        self.budget_used = False
        """Whether the recipe has asked for its budget: one that it does not ask for has no effect."""
        self.fraction = 0.0
        """The share of the budget that is spent, 0 to 1, as `until_budget` counts it: what a schedule follows."""
        self._streams: Streams | None = None
        self._count = 0
        self._looks_after_stops = False  # it asks whether to stop, or keeps checkpoints to stop at
        self._proven = False  # a checkpoint of this run's was read back
        self._unsaved = ""  # why the last one is not there
        self._unpictured = False  # it was said that a picture is not there
        self._begun = False  # an event was sent
        self._notes: list[str] = []  # that wait for it
        self._seconds = 0.0  # of training before the clock was last started
        self._earlier = 0.0  # of training in earlier attempts
        self._training = False  # whether counts have begun
        self._since: float | None = time.perf_counter()
        self._first_done: float | None = None  # of the budget's unit, when this attempt began
        self._told = 0.0
        self._rate = 0.0

    # ------------------------------------------------------------------ what is given

    @property
    def should_stop(self) -> bool:
        """Whether the run is asked to stop: save a checkpoint and raise `Interrupted`, or return.

        What is returned after it said so is no result: ask while there is something left to do.
        """
        self._looks_after_stops = True
        self.told_to_stop = self.told_to_stop or self._stop()
        return self.told_to_stop

    @property
    def budget(self) -> Any:
        """How long the run trains: an instance of the recipe's own model."""
        self.budget_used = True
        return self._budget

    def generator(self, name: str, device: str = "cpu") -> torch.Generator:
        """The run's random stream called `name`: equal in all runs of a seed, and in a run that is resumed."""
        return self._random.generator(name, device)

    @property
    def _random(self) -> Streams:
        if self._streams is None:
            from harness.recipes.streams import Streams  # loads torch

            self._streams = Streams(self.seed)
        return self._streams

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those of earlier attempts included; time inside the harness does not count.

        They begin with the first count of `until_budget`, or with the run where nothing is counted.
        """
        return self._seconds + (time.perf_counter() - self._since if self._since is not None else 0.0)

    @contextmanager
    def untimed(self) -> Iterator[None]:
        """What is done inside is no training, an evaluation for instance: its seconds do not count."""
        if self._since is None:
            yield
            return
        self._seconds, self._since = self.seconds, None
        try:
            yield
        finally:
            self._since = time.perf_counter()

    def until_budget(self, unit: str = "", *, each: float = 1, **default: float) -> Iterator[int]:
        """Count 1, 2, 3, ... until the budget is spent; every count is `each` of a unit.

        `for epoch in run.until_budget(epochs=20)` trains for the spec's budget, or 20 epochs where it has none. A run
        that was restored goes on with the count after the one its checkpoint was taken in; one that is asked to stop
        ends here with `Interrupted`. Raises SpecError where the spec's budget is in a unit that is not counted.
        """
        if len(default) > 1 or (unit and default):
            raise TypeError("until_budget counts one unit, like until_budget(epochs=20)")
        budget: Budget = self.budget
        unit = unit or next(iter(default), "") or ("steps" if budget.timed else budget.unit or "steps")
        amount = budget.amount or default.get(unit, 0.0)
        if not amount:
            raise SpecError(f"budget: is missing; say how long a run of '{self.recipe}' trains, like {{{unit}: 20}}")
        self._begin(unit)
        while True:
            if self._spent(self._count * each, amount):
                return
            if self.should_stop:
                raise Interrupted(f"stopped after {self._count * each:,g} {unit}")
            self._count += 1
            yield self._count

    def spend(self, unit: str, done: float) -> bool:
        """Whether the budget is spent after `done` of `unit` in all, where another's loop counts; False without one.

        Raises SpecError where the spec's budget is in a unit that is not counted.
        """
        self._begin(unit)
        budget: Budget = self.budget
        return budget.amount > 0 and self._spent(done, budget.amount)

    def go_on(self, *, step: int, seconds: float) -> None:
        """Go on after `step` and `seconds` of training, where what is restored is another's checkpoint."""
        self.step = self.saved = step
        self._earlier = seconds
        self._seconds += seconds

    def _begin(self, unit: str) -> None:
        """Training, which counts `unit`, begins: what was made ready before is none."""
        if (given := self._budget.unit) not in ("", "seconds", unit):
            raise SpecError(
                f"budget: {given} is not allowed: recipe '{self.recipe}' counts {unit}; allowed: {unit}, seconds"
            )
        if not self._training:
            self._training, self._seconds = True, self._earlier
            self._since = time.perf_counter() if self._since is not None else None

    def _spent(self, done: float, amount: float) -> bool:
        if self._first_done is None:
            self._first_done = done
        self.fraction = min(1.0, (self.seconds if self._budget.timed else done) / amount)
        now, ended = time.monotonic(), self.fraction >= 1
        if now - self._told >= _EVERY or ended:
            self._told = now
            elapsed = self.seconds - self._earlier
            self._rate = (done - self._first_done) / elapsed if elapsed > 0 else 0.0
            self.emit(Progress(step=self.step, train_seconds=self.seconds, rate=self._rate, fraction=self.fraction))
        return ended

    # ------------------------------------------------------------------ what is told

    def emit(self, event: Event) -> None:
        """Send an event as it is; the methods below make the usual ones."""
        if isinstance(event, Progress | Scored):
            self.step = event.step
        with self.untimed():
            self._emit(event)
            self._begun = True
            while self._notes:
                self._emit(Noted(text=self._notes.pop(0)))

    def note(self, text: str) -> None:
        """A word for whoever watches the study; one that comes before the run begins is sent with its beginning."""
        self._notes.append(text)
        if self._begun:
            with self.untimed():
                self._emit(Noted(text=self._notes.pop(0)))

    def start(self, facts: Mapping[str, str] | None = None) -> None:
        """Say that training begins, with facts to be kept beside the run's numbers."""
        self.emit(Started(facts=dict(facts or {}), resumed_at=self._count))

    def report(self, step: int, /, **measures: float) -> None:
        """Measures after `step` of the recipe's unit; with the objective among them it is a score of the run.

        Numbers, one-element tensors and arrays are taken. Raises RecipeError for anything else, and DivergedError where
        one is not finite. A run that is asked to stop ends here with `Interrupted` where its recipe neither asks
        whether to stop nor keeps checkpoints: nothing else would end it.
        """
        with self.untimed():
            try:
                at = operator.index(step)
            except TypeError:
                at = -1
            if at < 0:
                raise RecipeError(
                    f"recipe '{self.recipe}': report({step!r}, ...): the step must be a whole number of at least 0"
                )
            values = {
                name: number(value, f"recipe '{self.recipe}': report at step {at}: {name}")
                for name, value in measures.items()
            }
            if self.objective.name in values:
                self.emit(Scored(step=at, train_seconds=self.seconds, scores=values))
            else:
                curves = {name: [(at, value)] for name, value in values.items()}
                self.emit(
                    Progress(
                        step=at, train_seconds=self.seconds, rate=self._rate, fraction=self.fraction, curves=curves
                    )
                )
        if not self._looks_after_stops and self._stop():
            self.told_to_stop = True
            raise Interrupted(f"stopped after {at:,}; it keeps no checkpoint, so that it will start anew")

    def image(self, name: str, image: Any, /) -> None:
        """Keep a picture called `name`: uint8 [3, H, W], or [N, 3, H, W] as a grid, or floats from 0 to 1.

        One channel is grey. Raises RecipeError for anything else.
        """
        from harness.recipes.pictures import save_picture

        with self.untimed():
            path = self.directory / f"{name}-{self.step:09d}.png"
            self.picture(path, name, lambda: save_picture(name, image, path, whose=f"recipe '{self.recipe}'"))

    def picture(self, path: Path, kind: str, write: Callable[[], None]) -> None:
        """Let `write` make the picture at `path` and tell of it. A disk that does not take it is said once: training
        goes on without."""
        with self.untimed():
            try:
                write()
            except OSError as error:
                if not self._unpictured:
                    self._unpictured = True
                    self.note(f"{path.name} cannot be written ({error.strerror or error}): training goes on without it")
            else:
                self.emit(Artifact(step=self.step, path=str(path), kind=kind))

    def end(self, outcome: Outcome) -> None:
        """One of several `replicates` ends, with its measures or by what ended it; the others go on.

        `DivergedError` and `Interrupted` mean what they mean where a run is alone; a checkpoint is saved before.
        """
        with self.untimed():
            self.ended = True
            self._end(outcome)

    # ------------------------------------------------------------------ going on later

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Keep `state` (tensors and plain data) to go on from, with the run's count, seconds, streams and the global
        generators of torch, numpy and Python.

        Call it when a count's work is done. Where the run is asked to stop it ends here, with `Interrupted`. Raises
        RecipeError where `state` holds what could not be read back.
        """
        from harness.recipes import checkpoint, randomness

        with self.untimed():
            ours = {
                "count": self._count,
                "step": self.step,
                "seconds": self._seconds,
                "trained_from": self.trained_from,
                "streams": self._streams.state() if self._streams else None,
                "global": randomness.state(self.device),
            }
            whole = {"identity": self.identity, "run": ours, "state": dict(state)}
            if not self._proven and (why := checkpoint.unreadable(whole)):
                raise RecipeError(
                    f"recipe '{self.recipe}': checkpoint: {why} cannot be read back; keep tensors, numbers, text, "
                    "lists and mappings of them, like model.state_dict()"
                )
            self._proven = True
            self.save(whole)
        if self.should_stop:
            raise self.stopped(f"{self.step:,}")

    def save(self, whole: Mapping[str, Any]) -> None:
        """Write `whole`, which has the run's identity, as its checkpoint, where a recipe keeps and restores its own."""
        from harness.recipes import checkpoint

        with self.saving(self.directory / checkpoint.NAME):
            checkpoint.save(whole, self.directory)

    @contextmanager
    def saving(self, path: Path) -> Iterator[None]:
        """What is done inside writes the checkpoint at `path`.

        A disk that does not take it is said once: the last good one stays, and the next is tried.
        """
        with self.untimed():
            try:
                yield
            except OSError as error:
                said, self._unsaved = bool(self._unsaved), error.strerror or str(error)
                if not said:
                    kept = "there is none yet" if self.saved is None else f"that after {self.saved:,} stays"
                    self.note(
                        f"the checkpoint after {self.step:,} {self.unit} cannot be saved ({self._unsaved}): {kept}, "
                        "training goes on, and the next one is tried"
                    )
            else:
                if self._unsaved:
                    self.note(f"checkpoints are saved again, after {self.step:,} {self.unit}")
                self.saved, self._unsaved = self.step, ""
                self.emit(Artifact(step=self.step, path=str(path), kind="checkpoint"))

    def stopped(self, after: str) -> Interrupted:
        """What ends a run that is asked to stop and has just saved, or could not: `after` says how far it came."""
        if not self._unsaved:
            return Interrupted(f"stopped after {after}; a checkpoint is saved")
        lost = "all progress" if self.saved is None else f"what was trained since {self.saved:,}"
        return Interrupted(f"stopped after {after}; no checkpoint could be saved ({self._unsaved}): {lost} is lost")

    def restore(self) -> dict[str, Any] | None:
        """What the run's last checkpoint holds, or that of the run that trained for it; None where it starts anew.

        Call it once, when everything is made and before training: generators go on where the checkpoint was taken.
        """
        from harness.recipes import randomness

        self._looks_after_stops = True
        with self.untimed():
            saved = self.last_saved(self.identity)
            if saved is None:
                return None
            try:
                ours = saved["run"]
                self.trained_from = self.trained_from or ours.get("trained_from", "")
                self._count, self.step, self._earlier = ours["count"], ours["step"], ours["seconds"]
                self.saved = self.step
                self._seconds += self._earlier
                if ours["streams"] is not None:
                    self._random.restore(ours["streams"])
                randomness.restore(ours["global"], self.device)
                state: dict[str, Any] = saved["state"]
            except _NO_STATE as error:
                raise RecipeError(
                    f"the checkpoint of {self.directory} is sound and holds no state of a run ({type(error).__name__}: "
                    f"{error}); delete it, and the run starts anew"
                ) from error
            return state

    def last_saved(self, identity: str) -> dict[str, Any] | None:
        """The last sound checkpoint that was saved with `identity`: the run's, or of the run that trained for it.

        What is damaged or another's is passed over and said. `trained_from` names the other run where it is that one's.
        """
        from harness.recipes import checkpoint

        with self.untimed():
            folders = [self.directory, *([self.trained] if self.trained else [])]
            found, folder = checkpoint.newest(folders, identity=identity, note=self.note)
            if folder is not None and folder != self.directory:
                self.trained_from = folder.name
            return found


def number(value: Any, what: str) -> float:
    """`value` as a finite float. Raises RecipeError where it is no number, DivergedError where it is not finite."""
    if isinstance(value, str | bytes | bool) or value is None:
        raise RecipeError(f"{what} is {value!r}; must be a finite number")
    try:
        value = value.item() if hasattr(value, "item") else value  # of a tensor or an array of one element
        if isinstance(value, bool | str | bytes):
            raise TypeError
        found = float(value)
    except OverflowError:
        found = math.inf
    except (TypeError, ValueError, RuntimeError):
        raise RecipeError(f"{what} is a {type(value).__name__}; must be a finite number") from None
    if not math.isfinite(found):
        raise DivergedError(f"{what} is {found}; must be a finite number")
    return found
