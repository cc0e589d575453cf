"""A slot's end on another machine: the run trains in a process of its own there, and is watched as it would be here.

A launcher of slots elsewhere asks it for what came of the run: events, and files where the project's folder is not
seen from there. It loads neither torch nor the recipe.
"""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast

import harness
from harness.recipes.events import Artifact, Cause, Event, Failed, Finished
from harness.runs.description import RunDescription
from harness.runs.liveness import limits
from harness.runs.processes import ProcessLauncher
from harness.runs.scratch import Scratch
from harness.runs.shipping import MOST, Changes, Part, receive
from harness.runs.wire import ordered, written


@cache
def build() -> str:
    """What tells this harness from others, and the versions that its runs' numbers hang on."""
    root = Path(harness.__file__).parent
    whole = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        whole.update(f"{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes())
    found = []
    for package in ("torch", "numpy"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package}")
    return f"harness {whole.hexdigest()[:12]}, {', '.join(found)}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a run: parts of its folder's files, which come before the events that speak of them."""

    events: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)


class Station:
    """Trains one run at a time, in the project's folder where it is seen from here, else in a folder like it."""

    def __init__(self, hung_after: float | None = None, *, most: int = MOST) -> None:
        self._most = most  # bytes of a part, and of an answer about
        self._launcher = ProcessLauncher(1, limits=limits(hung_after))
        self._scratch: Scratch | None = None
        self._changes: Changes | None = None
        self._sending: Iterator[Part] | None = None
        self._news: deque[Event] = deque()
        self._told: list[str] = []

    def arrive(self, project: str, token: str) -> tuple[str, str, bool]:
        """This machine's name, the build of its harness, and whether it sees the project's folder.

        `token` is a file that the coordinator has just left in it.
        """
        shared = Path(project, token).is_file()
        if self._scratch is not None:  # what an earlier run left there has come back
            self._scratch.clear()
        elif not shared:
            self._scratch = Scratch()
        os.chdir(project if shared or self._scratch is None else self._scratch.path)
        return socket.gethostname(), build(), shared

    def receive(self, part: Part) -> None:
        """A part of a file that the run needs."""
        try:
            receive(Path(), part)
        except OSError as error:
            self._news.append(_cannot(f"cannot write {part.name}: {error.strerror or error}"))

    def begin(self, order: str, *, shared: bool) -> None:
        """Train what is ordered."""
        if self._news:  # it lacks a file
            return
        what = ordered(order)
        folder = Path(what.directory)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._news.append(_cannot(f"cannot make {folder}: {error.strerror or error}"))
            return
        self._changes = None if shared else Changes(folder)
        self._launcher.submit(0, cast(RunDescription, what))

    def poll(self, wait: float) -> Answer:
        """What came within `wait` seconds, at once where something did."""
        busy = self._sending is not None or bool(self._news)
        self._news += [event for _, event in self._launcher.events(0 if busy else wait)]
        if self._sending is None and self._news:
            files = self._changes and any(isinstance(each, Artifact | Finished | Failed) for each in self._news)
            self._sending = self._changes.parts(self._most) if self._changes and files else iter(())
            self._told = [written(_from_here(each)) for each in self._news]
            self._news.clear()
        sent: list[Part] = []
        size = 0
        while self._sending is not None and size < self._most:
            if (part := next(self._sending, None)) is None:
                self._sending = None
                told, self._told = self._told, []
                return Answer(events=told, parts=sent)
            sent.append(part)
            size += len(part.data)
        return Answer(parts=sent)

    def stop(self) -> None:
        """Ask the run to save a checkpoint and end."""
        self._launcher.interrupt(0)

    def close(self) -> None:
        """End the slot, once its run has saved a checkpoint, and leave nothing behind."""
        self._launcher.close()
        if self._scratch is not None:
            os.chdir(tempfile.gettempdir())
            self._scratch.remove()
            self._scratch = None

    def leave(self) -> None:
        """End the slot at once, and leave nothing behind."""
        with suppress(KeyError):  # no run was begun
            self._launcher.kill(0)
        self.close()


def _from_here(event: Event) -> Event:
    """The event with a file's path as it lies to the project's folder, which is called otherwise elsewhere."""
    if isinstance(event, Artifact) and Path(event.path).is_absolute() and Path(event.path).is_relative_to(Path.cwd()):
        return replace(event, path=str(Path(event.path).relative_to(Path.cwd())))
    return event


def _cannot(what: str) -> Failed:
    return Failed(kind=Cause.LOST, reason=f"{socket.gethostname()} {what}")
