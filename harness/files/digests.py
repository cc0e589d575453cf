"""SHA-256 of files, read again only where they have changed since this process last read them."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

_SETTLED = 3e9  # nanoseconds after a change in which another one may leave the same time behind, on coarse clocks

_read: dict[tuple[str, int, int, int, int], bytes] = {}


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file's content. Raises OSError.

    A file that has the size, times and inode that it had is not read again: the times that the system keeps of changes
    cannot be set back. So a run need not hash the photos that the run before it in the same process hashed.
    """
    about = os.stat(path)
    state = (os.fspath(path), about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)
    if state not in _read:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").digest()
        if time.time_ns() - max(about.st_mtime_ns, about.st_ctime_ns) < _SETTLED:
            return found
        _read[state] = found
    return _read[state]
