"""What a slot has told of its run, kept beside the checkpoint, so that the run's next attempt tells it again.

A coordinator that is killed takes with it what was on its way to a journal, and a run that goes on from its checkpoint
tells nothing of the steps before it. Journals take a point once, however often it is told.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from harness.errors import DivergedError, HarnessError
from harness.recipes.events import Artifact, Event, Progress, Scored, Started
from harness.runs.description import RunDescription
from harness.runs.wire import read, written

_NAME = ".told.jsonl"


class Retelling:
    """`emit` for a run in its folder, which is this process's alone: what is told is kept, and told again at the start.

    What another source, or other settings, told is forgotten; so is a line that a crash has cut or a disk has damaged.
    """

    def __init__(self, description: RunDescription, identity: str, emit: Callable[[Event], None]) -> None:
        self._path = Path(description.directory, _NAME)
        self._emit = emit
        first = _line(json.dumps({"identity": identity}))
        self._before = list(_kept(self._path, first, description))
        if not self._before:
            with suppress(OSError):
                self._path.write_bytes(first)

    def __call__(self, event: Event) -> None:
        """Keep what curves are made of, and send it on."""
        if isinstance(event, Started):
            self._emit(event)
            self.tell_again()
            return
        kept = replace(event, rate=0.0) if isinstance(event, Progress) else event
        if isinstance(kept, Scored | Artifact) or (isinstance(kept, Progress) and kept.curves):
            self._keep(_line(written(kept)))
        self._emit(event)

    def tell_again(self) -> None:
        """Tell what earlier attempts told, once."""
        before, self._before = self._before, []
        for event in before:
            self._emit(event)

    def _keep(self, line: bytes) -> None:
        """Add a line. Where the disk is full it is left out: the coordinator is told all the same."""
        with suppress(OSError), open(self._path, "ab", buffering=0) as file:
            size = file.tell()
            try:
                whole = file.write(line) == len(line)
            except OSError:
                whole = False
            if not whole:
                os.ftruncate(file.fileno(), size)


def remove(folder: Path) -> None:
    """Forget what a run has told: it is in the journal to its end."""
    (folder / _NAME).unlink(missing_ok=True)


def _line(text: str) -> bytes:
    content = text.encode()
    return b"%08x %s\n" % (zlib.crc32(content), content)


def _kept(path: Path, first: bytes, description: RunDescription) -> Iterator[Event]:
    """The events of a file whose first line is `first`; what a crash left of a last line is taken away."""
    with suppress(OSError), open(path, "rb+") as file:
        if file.readline() != first:
            return
        end = file.tell()
        for raw in file:
            if not raw.endswith(b"\n"):
                break
            end += len(raw)
            mark, _, content = raw[:-1].partition(b" ")
            if mark == b"%08x" % zlib.crc32(content):
                with suppress(ValueError, HarnessError, DivergedError):
                    yield read(content, description)
        file.truncate(end)
