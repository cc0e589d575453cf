"""What leaves a slot is checked there: a recipe's results, the events it emits, and how it failed."""

from __future__ import annotations

import errno
import operator
import re
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from math import isfinite, nan
from pathlib import Path
from typing import Any

from harness.errors import DivergedError, HarnessError, KilledError, OutOfMemoryError, RecipeError
from harness.files import room
from harness.measures import Measure
from harness.recipes.address import Address
from harness.recipes.events import Artifact, Cause, Event, Failed, Finished, Noted, Progress, Scored, Started
from harness.recipes.run import number

TRACEBACK = "traceback.txt"
"""What a run's folder calls the traceback of the fault that ended it."""
LOWER = (
    "lower the batch size, the width of networks or whatever else of its settings takes memory, or train fewer runs at "
    "a time (--slots)"
)
"""What to do where memory is not enough."""
_LAST = 2**31 - 1  # the highest step that every storage of Optuna takes
_LONGEST = 300  # characters of an exception's message in a reason


def checked(returned: Any, recipe: str, objective: Measure) -> dict[str, float]:
    """What the recipe of that name returned as its run's measures by name.

    Raises RecipeError where it is no mapping of names to numbers or lacks the objective, DivergedError where a number
    is not finite.
    """
    if not isinstance(returned, Mapping):
        raise RecipeError(
            f"recipe '{recipe}' returned {'None' if returned is None else f'a {type(returned).__name__}'}; it must "
            f"return its measures by name, like {{'{objective.name}': 0.9}}"
        )
    if objective.name not in returned:
        has = ", ".join(map(str, returned)) or "nothing"
        raise RecipeError(
            f"recipe '{recipe}' returned no '{objective.name}', which is the objective; it returned {has}"
        )
    return {str(name): number(value, f"recipe '{recipe}': {name}") for name, value in returned.items()}


def guarded(emit: Callable[[Event], None], recipe: str, objective: Measure) -> Callable[[Event], None]:
    """`emit` for the recipe of that name: it raises RecipeError at once for an event that no coordinator can read.

    A score or a time that is not finite raises DivergedError; a point of a curve that is not finite is left out: in
    half precision a norm overflows now and then, and the step is skipped.
    """

    def send(event: Event) -> None:
        try:
            plain = _plain(event, objective)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise RecipeError(
                f"recipe '{recipe}' emitted what is no {type(event).__name__} event ({error}); steps are whole "
                f"numbers from 0 to {_LAST}, measures are numbers by name, and a score has '{objective.name}': use "
                "run.report(step, ...)"
            ) from error
        emit(plain)

    return send


def _plain(event: Event, objective: Measure) -> Event:
    """The event with plain numbers and text for what looks like them: tensors and paths stay in the slot."""
    match event:
        case Started():
            facts = {str(name): str(value) for name, value in event.facts.items()}
            return replace(event, facts=facts, data=tuple(event.data), resumed_at=int(event.resumed_at))
        case Progress():
            curves = {
                str(name): [(_step(step), found) for step, value in points if isfinite(found := _real(value, name))]
                for name, points in event.curves.items()
            }
            return replace(
                event,
                step=_step(event.step),
                train_seconds=number(event.train_seconds, "train_seconds"),
                rate=rate if isfinite(rate := _real(event.rate, "rate")) else 0.0,
                fraction=min(1.0, max(0.0, _real(event.fraction, "fraction"))),
                curves=curves,
            )
        case Scored():
            at = f"the score at step {event.step}: "
            scores = {str(name): number(value, f"{at}{name}") for name, value in event.scores.items()}
            if objective.name not in scores:
                raise KeyError(f"there is no '{objective.name}' among {', '.join(scores) or 'no scores'}")
            seconds = number(event.train_seconds, "train_seconds")
            return replace(event, step=_step(event.step), train_seconds=seconds, scores=scores)
        case Artifact():
            return replace(event, step=_step(event.step), path=str(event.path), kind=str(event.kind))
        case Noted():
            return Noted(text=str(event.text))
        case Finished() | Failed():
            raise TypeError("a run ends when its recipe returns or raises, not by an event")
    raise TypeError(f"a {type(event).__name__}")


def _real(value: Any, what: str) -> float:
    """A number as a float, nan where it is not finite. Raises RecipeError where it is none."""
    try:
        return number(value, what)
    except DivergedError:
        return nan


def _step(step: Any) -> int:
    found = operator.index(step)
    if not 0 <= found <= _LAST:
        raise ValueError(f"step {found}")
    return found


def fault(error: BaseException, address: Address, directory: str | Path) -> Failed:
    """How a run failed: its reason in one line, and the whole traceback, which is left in the run's folder too."""
    details = "".join(traceback.format_exception(error))
    place = Path(directory, TRACEBACK)
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(details, encoding="utf-8")
    if isinstance(error, OutOfMemoryError):
        return Failed(kind=Cause.MEMORY, reason=f"{_text(error)}; {LOWER}", details=details)
    full = room.is_missing(error)  # a disk says nothing of the run
    if isinstance(error, HarnessError):
        kind = Cause.LOST if full or isinstance(error, KilledError) else Cause.ERROR
        return Failed(kind=kind, reason=_text(error), details=details)
    if _of_memory(error):
        said = _text(error).partition("\n")[0][:_LONGEST]
        reason = f"{whose(address)} needs more memory than there is{f' ({said})' if said else ''}; {LOWER}"
        return Failed(kind=Cause.MEMORY, reason=reason, details=details)
    said = _text(error).partition("\n")[0][:_LONGEST]
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    if isinstance(error, SystemExit):
        what += ": a recipe returns its measures or raises, and ends no process"
    reason = f"{whose(address)}: {what}{_where(error, address)}; the whole traceback is in {place}"
    return Failed(kind=Cause.LOST if full else Cause.ERROR, reason=reason, details=details)


def _of_memory(error: BaseException) -> bool:
    """Whether it says that memory is not enough: Python's, the system's, a GPU's by torch, and torch's on the CPU."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    named = any(each.__name__ == "OutOfMemoryError" for each in type(error).__mro__)
    said = isinstance(error, RuntimeError) and re.search(
        r"DefaultCPUAllocator|_ALLOC_FAILED|out of memory", _text(error)
    )
    return isinstance(error, MemoryError) or named or bool(said)


def whose(address: Address) -> str:
    """The recipe at an address that may not load, for a reason."""
    return "the command" if address.is_command else f"recipe '{address.text}'"


def _where(error: BaseException, address: Address) -> str:
    """The last line of the recipe's own source that the error went through; of any source where there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    own: set[str] = set()
    with suppress(Exception):  # a source that cannot be read any more
        own = {str(path) for path in address.sources()}
    last = next((frame for frame in reversed(frames) if frame.filename in own), frames[-1] if frames else None)
    return f" ({Path(last.filename).name}, line {last.lineno})" if last else ""


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # whatever an exception class of the recipe's may do
        return ""
