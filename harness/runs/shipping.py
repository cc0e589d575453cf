"""Files sent from one machine to another in parts: what changed in a run's folder, a recipe's sources, checkpoints."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from harness.files.lines import whole_or_not
from harness.runs.retelling import NAME as TOLD

MOST = 8 << 20
"""Bytes of one part."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Bytes of the file `name`, a path within the folder that is sent, from `start` on; `last` where it ends there.

    Where `like` is given the file is the one that the receiver has by that name: the sender moved it, or linked to it.
    """

    name: str
    start: int = 0
    data: bytes = b""
    last: bool = True
    like: str = ""


def parts(folder: Path, names: Sequence[str], most: int = MOST) -> Iterator[Part]:
    """The files of `folder` by their names, one after the other; one that is gone is left out.

    A file that another takes the place of meanwhile is sent as it was; of one that grows, what it had at first.
    """
    for name in names:
        if (file := _opened(folder / name)) is not None:
            with file:
                yield from _parts(name, file, os.fstat(file.fileno()).st_size, most)


def _opened(path: Path) -> BinaryIO | None:
    try:
        return open(path, "rb")
    except (FileNotFoundError, IsADirectoryError):
        return None


def _parts(name: str, file: BinaryIO, size: int, most: int) -> Iterator[Part]:
    left, start = size, 0
    while True:
        data = file.read(min(most, left))
        left -= len(data)
        last = not left or not data
        yield Part(name=name, start=start, data=data, last=last)
        if last:
            return
        start += len(data)


def crosses(path: Path) -> bool:
    """Whether a file of a run's folder is sent: none that is half written, and what the run has told."""
    return path.is_file() and not path.is_symlink() and (not path.name.startswith(".") or path.name == TOLD)


class Changes:
    """What changes in a folder, for a receiver that has all that was in it at first.

    Files that are half written are left out.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sent = dict(self._files())

    def parts(self, most: int = MOST) -> Iterator[Part]:
        """The files that are new or changed since they were last sent, as they are now.

        What the run has told comes first, and as it is once the others are opened: whatever a receiver is left with, it
        has all that was told before a checkpoint that it has.
        """
        now = dict(self._files())
        changed = [name for name in now if self._sent.get(name) != now[name]]
        # A checkpoint that becomes the one before the last need not cross again.
        alike = {name: next((other for other, sent in self._sent.items() if sent == now[name]), "") for name in changed}
        for name, other in alike.items():
            if other:
                yield Part(name=name, like=other)
                self._sent[name] = now[name]
        with ExitStack() as opened:
            files: dict[str, BinaryIO] = {}
            for name in sorted(changed, key=_is_told):
                if not alike[name] and (file := _opened(self.folder / name)) is not None:
                    files[name] = opened.enter_context(file)
            sizes = {name: os.fstat(file.fileno()).st_size for name, file in files.items()}
            for name in sorted(files, key=lambda each: not _is_told(each)):
                yield from _parts(name, files[name], sizes[name], most)
                # What took its place meanwhile crosses the next time.
                self._sent[name] = now[name] if dict(self._files()).get(name) == now[name] else (0, 0, 0)

    def _files(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        for path in sorted(self.folder.rglob("*")):
            try:
                if not crosses(path):
                    continue
                state = path.stat()
            except OSError:  # gone meanwhile
                continue
            yield path.relative_to(self.folder).as_posix(), (state.st_mtime_ns, state.st_size, state.st_ino)


def _is_told(name: str) -> bool:
    return name == TOLD


def receive(folder: Path, part: Part) -> None:
    """Write a part; the last one puts the whole file in its place.

    Raises ValueError for a name that leaves `folder`, and for parts that do not follow one another; OSError where the
    disk does not take it, and then it can be received again.
    """
    path = _inside(folder, part.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.part")
    if part.like:
        try:
            half.write_bytes(_inside(folder, part.like).read_bytes())
        except FileNotFoundError:
            raise ValueError(f"{part.name!r}: there is no {part.like!r} to be like") from None
        half.replace(path)
        return
    with whole_or_not(half):
        with open(half, "r+b" if part.start else "wb") as file:
            if file.seek(0, os.SEEK_END) != part.start:
                raise ValueError(f"{part.name!r}: a part begins at {part.start:,} bytes, after {file.tell():,}")
            file.write(part.data)
            if part.last:
                file.flush()
                os.fsync(file.fileno())
        if part.last:
            half.replace(path)


def _inside(folder: Path, text: str) -> Path:
    name = PurePosixPath(text)
    if name.is_absolute() or ".." in name.parts or not name.parts or "\0" in text:
        raise ValueError(f"{text!r} is no file of the folder {folder}")
    path = folder / name
    if path.is_symlink() or not path.parent.resolve().is_relative_to(folder.resolve()):  # through a link
        raise ValueError(f"{text!r} is no file of the folder {folder}")
    return path


def sources(files: Sequence[Path], folder: Path, project: Path) -> tuple[Path, list[str]]:
    """The folder that a recipe's files are sent from, and their names in it; they keep their places to one another.

    `folder` is where the recipe is looked for from. The project's folder is kept where all lies in it.
    """
    every = [folder.resolve(), *(file.resolve() for file in files)]
    whole = project.resolve()
    root = whole if all(each.is_relative_to(whole) for each in every) else Path(os.path.commonpath(every))
    return root, [file.resolve().relative_to(root).as_posix() for file in files]
