"""What runs told, kept on this machine before anything else is done with it: runs/STUDY/events/KEY.jsonl.

A line is an event with the time at which it came, in ms since 1970, and a checksum: one that a disk has damaged is
left out rather than read as another number. Lines are only ever added. From here Optuna is told
by the coordinator, and MLflow by the mirror.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from harness.files import lines
from harness.recipes.events import SOURCE, Event, Failed, Finished, Progress, Scored
from harness.runs.wire import KINDS

RATE = "rate"
"""By this name the journal knows the rate of a Progress among the points that it has."""
_LINE = re.compile(rb'(\{.*), "crc": "([0-9a-f]{8})"\}\n?')
_LAST_BYTES = 1 << 16  # in which the last line lies, unless a run left a novel


@dataclass(frozen=True, kw_only=True)
class Began:
    """An attempt at a run was given to a slot: its trial, and what MLflow shows of it."""

    attempt: int
    trial: int
    name: str
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


Kept = Began | Event
_KINDS: dict[str, TypeAdapter[Any]] = {**KINDS, Began.__name__: TypeAdapter(Began)}


@dataclass(frozen=True)
class Line:
    """An event of a journal: when it came, in ms since 1970, and where its line ends, in bytes."""

    at: int
    kept: Kept
    end: int


@dataclass
class _Open:
    """The journal of a run that goes on: its file, how long it is, and the points that it has."""

    file: int
    size: int
    points: dict[str, set[int]] = field(default_factory=dict)


class Journal:
    """The journals of a study's runs, by their keys; `runs` is the folder of those.

    One thread writes, others may read. `say` is told of a line that a crash has cut in two.
    """

    def __init__(self, runs: Path, say: Callable[[str], None] = lambda text: None) -> None:
        self.runs = runs
        self.folder = runs / "events"
        self._say = say
        self._open: dict[str, _Open] = {}

    def path(self, key: str) -> Path:
        """Where the journal of a run is."""
        return self.folder / f"{key}.jsonl"

    def keys(self) -> list[str]:
        """The runs that have a journal here."""
        return [path.stem for path in self.folder.glob("*.jsonl")]

    # ------------------------------------------------------------------ writing

    def append(self, key: str, kept: Kept, at: int) -> bool:
        """Add an event of a run. Raises OSError where it cannot be written, and then nothing is.

        A run that goes on from a checkpoint tells some of its points again: the first of a measure at a step counts.
        Whether there was anything to add.
        """
        if isinstance(kept, Began):
            self._set_aside_of_another_source(key, kept)
        opened = self._open.get(key) or self._opened(key)
        news = _unknown(kept, opened.points)
        if news is None:
            return False
        line = json.dumps({"at": at, "event": type(news).__name__, **asdict(news)}).encode()
        opened.size = lines.add(opened.file, opened.size, line[:-1] + b', "crc": "%08x"}\n' % zlib.crc32(line))
        for name, step in _points(news):
            opened.points.setdefault(name, set()).add(step)
        if isinstance(news, Finished | Failed):
            os.fsync(opened.file)
            os.close(self._open.pop(key).file)
        return True

    def _set_aside_of_another_source(self, key: str, began: Began) -> None:
        """A run whose recipe was changed since tells other numbers, at the same steps: it gets a journal of its own."""
        before = self.began(key)
        if before is None or before.tags.get(SOURCE) == began.tags.get(SOURCE):
            return
        if opened := self._open.pop(key, None):
            os.close(opened.file)
        aside = (self.folder / f"{key}.jsonl.{count}" for count in itertools.count(1))
        self.path(key).rename(next(path for path in aside if not path.exists()))

    def _opened(self, key: str) -> _Open:
        """The journal of a run to write to; what a crash left of a line is taken away."""
        path = self.path(key)
        self.folder.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        whole, cut = lines.mend(file)
        if cut:
            self._say(f"{path}: its last line was cut by a crash ({cut} bytes); that event is left out")
        found = self._open[key] = _Open(file, whole)
        damaged = 0
        for raw, _ in lines.read(path):
            if (line := _line(raw)) is None:
                damaged += 1
                continue
            for name, step in _points(line[1]):
                found.points.setdefault(name, set()).add(step)
        if damaged:
            self._say(f"{path}: {damaged} line(s) are damaged; what the run tells again takes their place")
        return found

    def close(self) -> None:
        """Close the files of runs that have not ended."""
        for opened in self._open.values():
            os.close(opened.file)
        self._open.clear()

    # ------------------------------------------------------------------ reading

    def size(self, key: str) -> int:
        """The bytes of a run's journal, 0 where it has none."""
        try:
            return self.path(key).stat().st_size
        except OSError:
            return 0

    def read(self, key: str, start: int = 0) -> Iterator[Line]:
        """The events of a run from byte `start` on, which is where a line begins. A line in the writing is left out."""
        for raw, end in lines.read(self.path(key), start):
            if (found := _line(raw)) is not None:
                yield Line(found[0], found[1], end)

    def born(self, key: str) -> int | None:
        """When the first event came, which tells this journal from one of the same run in another folder."""
        return next((line.at for line in self.read(key)), None)

    def began(self, key: str) -> Began | None:
        """What a run's journal begins with."""
        first = next((line.kept for line in self.read(key)), None)
        return first if isinstance(first, Began) else None

    def last(self, key: str) -> Kept | None:
        """The last event of a run, None where there is none."""
        start = max(0, self.size(key) - _LAST_BYTES)
        try:
            with open(self.path(key), "rb") as file:
                file.seek(start)
                ending = file.read().splitlines(keepends=True)
        except FileNotFoundError:
            return None
        found = _line(ending[-1]) if ending and ending[-1].endswith(b"\n") else None
        return found[1] if found else None

    def attempt(self, key: str, attempt: int) -> list[Event]:
        """What that attempt at a run told; nothing where it never began here."""
        found: list[Event] = []
        ours = False
        for line in self.read(key):
            if isinstance(line.kept, Began):
                ours, found = line.kept.attempt == attempt, [] if line.kept.attempt == attempt else found
            elif ours:
                found.append(line.kept)
        return found

    def ended(self, key: str, attempt: int) -> Finished | Failed | None:
        """How that attempt at a run ended; None where it has not, or never began here."""
        ends = [event for event in self.attempt(key, attempt) if isinstance(event, Finished | Failed)]
        return ends[-1] if ends else None

    def scored(self, key: str, attempt: int) -> list[Scored]:
        """The scores that attempt at a run told."""
        return [event for event in self.attempt(key, attempt) if isinstance(event, Scored)]


def _line(raw: bytes) -> tuple[int, Kept] | None:
    """The time and the event of a line; None where a disk has damaged it."""
    found = _LINE.fullmatch(raw)
    if found is None or int(found[2], 16) != zlib.crc32(found[1] + b"}"):
        return None
    try:
        fields = json.loads(raw)
        fields.pop("crc")
        at, kind = fields.pop("at"), fields.pop("event")
        kept: Kept = _KINDS[kind].validate_python(fields)
        return int(at), kept
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _points(kept: Kept) -> Iterator[tuple[str, int]]:
    """(measure, step) of what an event tells of a curve."""
    if isinstance(kept, Progress):
        for name, points in kept.curves.items():
            yield from ((name, step) for step, _ in points)
        if kept.rate:
            yield RATE, kept.step
    elif isinstance(kept, Scored):
        yield from ((name, kept.step) for name in kept.scores)


def _unknown(kept: Kept, known: Mapping[str, set[int]]) -> Kept | None:
    """The event without the points that are known; None where nothing is left."""

    def new(name: str, step: int) -> bool:
        return step not in known.get(name, ())

    if isinstance(kept, Progress):
        rate = kept.rate if new(RATE, kept.step) else 0.0
        told = {name: [each for each in points if new(name, each[0])] for name, points in kept.curves.items()}
        curves = {name: points for name, points in told.items() if points}
        return replace(kept, rate=rate, curves=curves) if rate or curves else None
    if isinstance(kept, Scored):
        scores = {name: value for name, value in kept.scores.items() if new(name, kept.step)}
        return replace(kept, scores=scores) if scores else None
    return kept
