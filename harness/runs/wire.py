"""Descriptions and events as JSON, for slots on other machines: what they answer is read, never unpickled.

An answer is checked like what a recipe emits, whoever sent it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from harness.errors import DivergedError, HarnessError
from harness.measures import Measure
from harness.recipes.address import Address
from harness.recipes.events import Event, Failed, Finished, Progress
from harness.runs.boundary import checked, guarded
from harness.runs.description import RunDescription, of_plain

KINDS: dict[str, TypeAdapter[Any]] = {kind.__name__: TypeAdapter(kind) for kind in get_args(Event)}
"""Events by the name of their type, and how each is read from plain data."""
_MEASURE: TypeAdapter[Measure] = TypeAdapter(Measure)


@dataclass(frozen=True)
class PlainDescription:
    """A run's description as plain data: what a launcher must know of it, without the recipe being loaded here.

    Pickled and read again, in the process that trains, it is the `RunDescription`.
    """

    plain: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["plain"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __reduce__(self) -> tuple[Callable[[dict[str, Any]], RunDescription], tuple[dict[str, Any]]]:
        return of_plain, (dict(self.plain),)


def order(description: RunDescription, **changed: Any) -> str:
    """The description as JSON, with what is `changed` for the machine that it goes to."""
    plain = {**description.plain(), **changed}
    plain["address"], plain["objective"] = asdict(plain["address"]), asdict(plain["objective"])
    return json.dumps(plain)


def ordered(text: str) -> PlainDescription:
    """The description that was written."""
    plain = json.loads(text)
    plain["address"] = Address(**plain["address"])
    plain["objective"] = _MEASURE.validate_python(plain["objective"])
    return PlainDescription(plain)


def written(event: Event) -> str:
    """An event as one line of JSON."""
    return json.dumps({"event": type(event).__name__, **asdict(event)})


def _nowhere(event: Event) -> None:
    return None


def read(line: str | bytes, description: RunDescription) -> Event:
    """The event that was written, of a run of that description.

    Raises ValueError where the line holds none, or one that no slot sends: numbers that are not finite, a result
    without the objective.
    """
    try:
        plain = json.loads(line)
        kind = plain.pop("event")
        event: Event = KINDS[kind].validate_python(plain)
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{line[:200]!r} is no event ({type(error).__name__})") from error
    name, objective = description.address.text, description.objective
    try:
        match event:
            case Finished():
                checked(event.summary, name, objective)
                guarded(_nowhere, name, objective)(Progress(step=event.step, train_seconds=0.0))  # a step like others
                return event
            case Failed():
                return event
        found: list[Event] = []
        guarded(found.append, name, objective)(event)
    except (HarnessError, DivergedError) as error:
        raise ValueError(f"{line[:200]!r}: {error}") from error
    return found[0]
