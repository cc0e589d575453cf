"""One run in this process: a function from a run description to a stream of events."""

from __future__ import annotations

import errno
import random
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from harness.errors import DivergedError
from harness.files import locks
from harness.machine.devices import device_name, peak_memory_mb, reset_peak_memory
from harness.measures import COSTS, PEAK_MEMORY, TRAIN_SECONDS
from harness.recipes import Interrupted, Run
from harness.recipes.events import SOURCE, Cause, Event, Failed, Finished, Noted, Started
from harness.runs import folder
from harness.runs.boundary import TRACEBACK, checked, fault, guarded
from harness.runs.description import RunDescription
from harness.runs.preparing import prepare
from harness.runs.retelling import Retelling


def execute(
    description: RunDescription, emit: Callable[[Event], None], should_stop: Callable[[], bool] = lambda: False
) -> None:
    """Train one run in this process. Emits the run's events and always ends with Finished or Failed.

    What the recipe emits and returns is checked here: nothing but finite numbers, the objective among them, leaves a
    slot, and whatever it raises is the end of this run alone. KeyboardInterrupt goes on to the caller after that.
    """
    try:
        with locks.held(Path(description.directory), lambda text: emit(Noted(text=text)), should_stop):
            last: Event = _train(description, emit, should_stop)
    except Interrupted as stop:
        last = Failed(kind=Cause.INTERRUPTED, reason=str(stop) or "asked to stop")
    except locks.HeldError as held:
        last = Failed(kind=Cause.INTERRUPTED if should_stop() else Cause.LOST, reason=str(held))
    except DivergedError as outcome:
        last = Failed(kind=Cause.DIVERGED, reason=str(outcome))
    except KeyboardInterrupt as error:
        emit(fault(error, description.address, description.directory))
        raise
    except BaseException as error:
        last = fault(error, description.address, description.directory)
    emit(last)


def _train(description: RunDescription, emit: Callable[[Event], None], should_stop: Callable[[], bool]) -> Finished:
    directory = Path(description.directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / TRACEBACK).unlink(missing_ok=True)
    recipe = description.address.load()
    source = description.address.loaded_digest()
    device = description.device or "cpu"
    if description.prepare:
        prepare(recipe, description, lambda text: emit(Noted(text=text)))
    with ExitStack() as around:
        if not description.address.is_command:  # a command draws and computes elsewhere, and knows its own peak
            from harness.runs.leftovers import put_back  # loads torch

            around.enter_context(put_back())
            _settle(description)
            reset_peak_memory(device)
        # What was begun by another source is not gone on with.
        identity = f"{description.identity or description.key}{f'-{source}' if source else ''}"
        tell = Retelling(description, identity, emit)
        run = Run(
            seed=description.seed,
            directory=directory,
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
            emit=guarded(_opening(tell, source, device), recipe.name, description.objective),
            stop=should_stop,
        )
        if description.address.is_command:  # it goes on by itself, from nobody knows where
            tell.since = lambda resumed: None
        else:
            tell.since = lambda resumed: resumed if run.saved is None else run.saved
        returned = recipe.train(description.train, run)
    tell.tell_again()
    if run.told_to_stop:  # no other sign tells what a recipe returns when it stops from the result of a whole run
        raise Interrupted(f"stopped after {run.step:,} {recipe.unit}")
    summary = checked(returned, recipe.name, description.objective)
    if description.trained and run.trained_from:  # what the training cost, which this run did not do
        before = folder.about(Path(description.trained)).get("summary", {})
        summary = {cost.name: before[cost.name] for cost in COSTS if cost.name in before} | summary
    summary.setdefault(TRAIN_SECONDS.name, run.seconds)
    if PEAK_MEMORY.name not in summary:
        summary[PEAK_MEMORY.name] = peak_memory_mb(device)
    _describe(description, recipe.name, summary, emit, should_stop)
    return Finished(step=run.step, summary=summary, trained_from=run.trained_from)


def _describe(
    description: RunDescription,
    recipe: str,
    summary: Mapping[str, float],
    emit: Callable[[Event], None],
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


def _opening(emit: Callable[[Event], None], source: str, device: str) -> Callable[[Event], None]:
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
    """Threads, and the global generators, which are seeded for each run."""
    import torch

    if description.threads is not None:
        torch.set_num_threads(description.threads)
    torch.manual_seed(description.seed)
    random.seed(description.seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(description.seed % 2**32)
