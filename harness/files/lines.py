"""Files to which whole lines are added: what a crash, or a disk that is full, has left of one is no line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CHUNK = 1 << 16  # bytes of the end that are read at once in search of the last whole line


@contextmanager
def whole_or_not(path: Path) -> Iterator[None]:
    """Where what is written inside fails, the file at `path` is as long as it was; one that was not there is empty."""
    size = path.stat().st_size if path.exists() else 0
    try:
        yield
    except BaseException:
        with suppress(OSError):  # a file that could not be made
            os.truncate(path, size)
        raise


def add(file: int, size: int, line: bytes) -> int:
    """Add a line to a file that is open for appending and `size` bytes long; how long it is then.

    Raises OSError where the disk does not take all of it, and then the file has none of it.
    """
    left = line
    try:
        while left:
            left = left[os.write(file, left) :]
    except BaseException:
        os.ftruncate(file, size)
        raise
    return size + len(line)


def mend(file: int) -> tuple[int, int]:
    """Take away what a file that is open for reading and writing has of a last line that was cut.

    How long it is then, and how many bytes were taken away.
    """
    size = end = os.fstat(file).st_size
    whole = 0
    while end and not whole:
        start = max(0, end - _CHUNK)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        whole, end = (start + newline + 1 if newline >= 0 else 0), start
    if whole < size:
        os.ftruncate(file, whole)
    return whole, size - whole


def read(path: Path, start: int = 0) -> Iterator[tuple[bytes, int]]:
    """The whole lines from byte `start` on, which is where one begins, each with where it ends in the file.

    One that is being written, or was cut, is left out; so is everything where the file is not there. A file on
    storage that machines share is opened anew by each call, which is when it is looked at anew.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        return
    with file:
        file.seek(start)
        end = start
        for line in file:
            end += len(line)
            if not line.endswith(b"\n"):
                return
            yield line, end
