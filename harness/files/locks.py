"""A folder that one process works in at a time, for as long as it lives or anything that was handed its lock."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from harness.errors import HarnessError
from harness.files import room

_NAME = ".lock"
_PATIENCE = 60.0  # seconds that one waits: those that a command has to save in, and as much again
_held: list[int] = []


class HeldError(HarnessError):
    """Another process works in the folder, or its disk had no room for it until that was given up."""


def handed_on() -> tuple[int, ...]:
    """The locks that this process has, as file descriptors: a process that is passed them has them too."""
    return tuple(_held)


@contextlib.contextmanager
def held(
    directory: Path,
    note: Callable[[str], None] = lambda text: None,
    give_up: Callable[[], bool] = lambda: False,
    patience: float = _PATIENCE,
) -> Iterator[None]:
    """Be the only one who works in `directory`, which is made. Raises HeldError where another goes on doing that.

    What is left of a run that lost its coordinator may still be saving; that is waited for, and said. So is a disk that
    is full. The system lets go of a lock when the last process that has it ends.
    """

    def take() -> IO[str]:
        directory.mkdir(parents=True, exist_ok=True)
        return _taken(directory / _NAME, note, give_up, patience)

    try:
        taken = room.awaited(take, lambda why: note(f"{directory} cannot be made ({why}): waiting"), give_up)
    except OSError as error:
        if not room.is_missing(error):
            raise
        raise HeldError(f"stopped while it waited for a disk that is full: {directory}") from None
    with taken as lock:
        _held.append(lock.fileno())
        try:
            yield
        finally:
            _held.remove(lock.fileno())
            (directory / _NAME).unlink(missing_ok=True)


def _taken(path: Path, note: Callable[[str], None], give_up: Callable[[], bool], patience: float) -> IO[str]:
    until, said = time.monotonic() + patience, False
    while True:
        lock = path.open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            whose = f"process {lock.read(40).strip() or '(unknown)'}"
            lock.close()
            if time.monotonic() >= until or give_up():
                raise HeldError(
                    f"{whose} works in {path.parent}; wait for it, or end it: two would overwrite each other's "
                    "checkpoints"
                ) from None
            if not said:
                note(f"waits for {whose}, which still has the run's folder")
            said = True
            time.sleep(0.1)
        except OSError:  # a file system without locks
            return lock
        else:
            if _is_at(lock, path):
                with contextlib.suppress(OSError):  # on a full disk it stays unsaid who has the lock
                    os.truncate(lock.fileno(), 0)
                    os.write(lock.fileno(), str(os.getpid()).encode())
                return lock
            lock.close()


def _is_at(lock: IO[str], path: Path) -> bool:
    """Whether the open file is the one at `path`: its last holder may have taken that away."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except FileNotFoundError:
        return False
