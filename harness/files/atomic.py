"""Files written whole or not at all: beside their place first, then moved there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of `path` once the block ends well and its bytes are on the disk.

    A crash leaves the old file or the new one; a block that fails leaves the old one and nothing beside it. Two
    processes may write the same path: each has a file of its own, and the last to finish stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half_written = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(half_written, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        half_written.replace(path)
        sync(path.parent)
    finally:
        half_written.unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Bring to the disk what a folder names, where the system can: a crash would undo a renaming otherwise."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with written(path) as file:
        file.write(text.encode("utf-8"))
