"""What a slot has told of its run, kept beside the checkpoint, so that the run's next attempt tells it again.

A coordinator that is killed takes with it what was on its way to a journal, and a run that goes on from its checkpoint
tells nothing of the steps before it. Journals take a point once, however often it is told.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from harness.errors import DivergedError, HarnessError
from harness.files import lines
from harness.recipes.events import Artifact, Event, Progress, Scored, Started
from harness.runs.description import RunDescription
from harness.runs.wire import read, written

NAME = ".told.jsonl"
"""The file in a run's folder."""


class Retelling:
    """`emit` for a run in its folder, which is this process's alone: what is told is kept, and told again at the start.

    What another source, or other settings, told is forgotten; so is a line that a crash has cut or a disk has damaged,
    and what was told of steps beyond the one that the run goes on from: the run tells that anew. `since` says which
    step that is, asked when the run tells the first of its steps; None where nobody knows.
    """

    def __init__(self, description: RunDescription, identity: str, emit: Callable[[Event], None]) -> None:
        self._path = Path(description.directory, NAME)
        self._emit = emit
        self._first = _line(json.dumps({"identity": identity}))
        self._before: list[Event] | None = list(_kept(self._path, self._first, description))
        self._resumed = 0
        self.since: Callable[[int], int | None] = lambda resumed: resumed
        if not self._before:
            self._write(())

    def __call__(self, event: Event) -> None:
        """Keep what curves are made of, and send it on."""
        if isinstance(event, Started):
            self._resumed = event.resumed_at
        elif isinstance(event, Progress | Scored | Artifact):
            self.tell_again()
            kept = replace(event, rate=0.0) if isinstance(event, Progress) else event
            if not isinstance(kept, Progress) or kept.curves:
                self._keep(_line(written(kept)))
        self._emit(event)

    def tell_again(self) -> None:
        """Tell what earlier attempts told, once."""
        before, self._before = self._before, None
        if not before:
            return
        since = self.since(self._resumed)
        told = [event for event in before if since is None or getattr(event, "step", 0) <= since]
        if len(told) < len(before):
            self._write(told)
        for event in told:
            self._emit(event)

    def _write(self, told: Iterable[Event]) -> None:
        with suppress(OSError):
            self._path.write_bytes(self._first + b"".join(_line(written(event)) for event in told))

    def _keep(self, line: bytes) -> None:
        """Add a line. Where the disk is full it is left out: the coordinator is told all the same."""
        with suppress(OSError), open(self._path, "ab", buffering=0) as file:
            lines.add(file.fileno(), file.tell(), line)


def remove(folder: Path) -> None:
    """Forget what a run has told: it is in the journal to its end."""
    (folder / NAME).unlink(missing_ok=True)


def _line(text: str) -> bytes:
    content = text.encode()
    return b"%08x %s\n" % (zlib.crc32(content), content)


def _kept(path: Path, first: bytes, description: RunDescription) -> Iterator[Event]:
    """The events of a file whose first line is `first`; what a crash left of a last line is taken away."""
    with suppress(OSError):
        found = lines.read(path)
        if next(found, None) != (first, len(first)):
            return
        with open(path, "rb+") as file:
            lines.mend(file.fileno())
        for raw, _ in found:
            mark, _, content = raw[:-1].partition(b" ")
            if mark == b"%08x" % zlib.crc32(content):
                with suppress(ValueError, HarnessError, DivergedError):
                    yield read(content, description)
