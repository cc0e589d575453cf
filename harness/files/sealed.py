"""Files that end in a checksum of their content, so that a bit that turns on the disk is noticed before it is used.

The content comes first: whoever reads it as what it is (`torch.load`, for one) finds it where it was. The seal is a
line of fixed length behind it: what it is and of which version, how long the content is, and its SHA-256, which
processors compute at the speed that disks write at.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from harness.files.atomic import written

VERSION = 1
_NAME = "harness seal"
_LENGTH = len(f"\n{_NAME} 0001 {0:020d} {'0' * 64}\n")
_SEAL = re.compile(rb"\n" + _NAME.encode() + rb" (\d{4}) (\d{20}) ([0-9a-f]{64})\n")
_CHUNK = 2**20


class Damaged(ValueError):  # noqa: N818 - a reason to do without a file, told in words
    """A file that is not what was written; the text says how, as in "checkpoint.pt <text>"."""


class Sealing:
    """A file to write whose bytes are hashed as they go by; the first error of the disk is kept for the end.

    What writes through it may be C++ that an exception from within would end the process of.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._length = 0
        self._failed: OSError | None = None
        self._sealed = False

    def write(self, data: bytes | memoryview) -> int:
        """Write `data`; where the disk has failed it goes nowhere, and `seal` raises."""
        length = memoryview(data).nbytes
        if self._failed is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._failed = error
            self._digest.update(data)
            self._length += length
        return length

    def flush(self) -> None:
        """Nothing: `seal` flushes."""

    def seal(self) -> None:
        """Write the seal, once; then all is on the disk. Raises OSError where any of it is not."""
        if self._failed is not None:
            raise self._failed
        if self._sealed:
            return
        self._file.write(_seal(self._length, self._digest.hexdigest()))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._sealed = True


@contextmanager
def sealing(path: Path) -> Iterator[Sealing]:
    """A file to write, which takes the place of `path`, sealed, once the block ends well; see `written`."""
    with written(path) as file:
        through = Sealing(file)
        yield through
        through.seal()


def check(path: Path) -> None:
    """Raises Damaged where the file is not, to the last bit, what was sealed; OSError where it cannot be read."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise Damaged("is empty")
        file.seek(max(0, size - _LENGTH))
        found = _SEAL.fullmatch(end := file.read(_LENGTH))
        if found is None:
            if end[-22:].startswith(b"PK\5\6"):  # the end of a zip, which is what torch writes
                raise Damaged("has no checksum: it is not this version's")
            raise Damaged("is cut short, or damaged at its end")
        version, length, digest = int(found[1]), int(found[2]), found[3].decode()
        if version != VERSION:
            raise Damaged(f"is of another version ({version}; this one reads {VERSION})")
        content = size - _LENGTH
        if length != content:
            raise Damaged(f"is damaged: it holds {content:,} bytes, {length:,} were written")
        file.seek(0)
        made, left = hashlib.sha256(), content
        while left and (chunk := file.read(min(_CHUNK, left))):
            made.update(chunk)
            left -= len(chunk)
    if made.hexdigest() != digest:
        raise Damaged("is damaged: its content does not match its checksum")


def seal(path: Path) -> None:
    """Seal a file that another has written, in its place. Raises OSError."""
    with path.open("rb+") as file:
        digest = hashlib.file_digest(file, "sha256")
        file.seek(0, os.SEEK_END)
        file.write(_seal(file.tell(), digest.hexdigest()))
        file.flush()
        os.fsync(file.fileno())


def _seal(length: int, digest: str) -> bytes:
    return f"\n{_NAME} {VERSION:04d} {length:020d} {digest}\n".encode()
