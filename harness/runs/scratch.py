"""A folder of a slot's own, on a machine that does not see the project's: removed with the slot, or by the next one."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "harness-slot-"


class Scratch:
    """A new folder among the machine's temporary ones, which is this process's for as long as it lives.

    What processes that are dead have left of theirs is removed first: one that was killed could not do that itself.
    """

    def __init__(self) -> None:
        _sweep()
        # Under another name until it is locked: a slot that sweeps meanwhile would take it for a dead one's.
        made = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))
        self._lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.path = made.rename(made.with_name(made.name[1:]))

    def clear(self) -> None:
        """Remove what is in it."""
        for path in self.path.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def remove(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _sweep() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError), _abandoned(path) as dead:
            if dead:
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _abandoned(path: Path) -> Iterator[bool]:
    """Whether the folder is of this user's and no living process has it. Raises OSError where it cannot be opened."""
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield os.fstat(lock).st_uid == os.getuid()
    finally:
        os.close(lock)
