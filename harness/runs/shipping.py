"""Files sent from one machine to another in parts: what changed in a run's folder, a recipe's sources, checkpoints."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MOST = 8 << 20
"""Bytes of one part."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Bytes of the file `name`, a path within the folder that is sent, from `start` on; `last` where it ends there."""

    name: str
    start: int
    data: bytes
    last: bool


def parts(folder: Path, names: Sequence[str], most: int = MOST) -> Iterator[Part]:
    """The files of `folder` by their names, one after the other; one that is gone is left out.

    A file that another takes the place of meanwhile is sent as it was; of one that grows, what it had at first.
    """
    for name in names:
        try:
            file = open(folder / name, "rb")  # noqa: SIM115 - closed below
        except (FileNotFoundError, IsADirectoryError):
            continue
        with file:
            left, start = os.fstat(file.fileno()).st_size, 0
            while True:
                data = file.read(min(most, left))
                left -= len(data)
                last = not left or not data
                yield Part(name=name, start=start, data=data, last=last)
                if last:
                    break
                start += len(data)


class Changes:
    """What has changed in a folder since it was last asked for; files that are half written are left out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen = dict(self._files())

    def names(self) -> list[str]:
        """The files that are new or changed, by their names within the folder."""
        now = dict(self._files())
        changed = [name for name, state in now.items() if self._seen.get(name) != state]
        self._seen = now
        return changed

    def _files(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        for path in sorted(self.folder.rglob("*")):
            try:
                if path.name.startswith(".") or path.is_symlink() or not path.is_file():
                    continue
                state = path.stat()
            except OSError:  # gone meanwhile
                continue
            yield path.relative_to(self.folder).as_posix(), (state.st_mtime_ns, state.st_size, state.st_ino)


def receive(folder: Path, part: Part) -> None:
    """Write a part; the last one puts the whole file in its place.

    Raises ValueError for a name that leaves `folder`, and for parts that do not follow one another.
    """
    name = PurePosixPath(part.name)
    path = folder / name
    if name.is_absolute() or ".." in name.parts or not name.parts or "\0" in part.name:
        raise ValueError(f"{part.name!r} is no file of the folder {folder}")
    if not path.parent.resolve().is_relative_to(folder.resolve()):  # through a link
        raise ValueError(f"{part.name!r} is no file of the folder {folder}")
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.part")
    with open(half, "r+b" if part.start else "wb") as file:
        if file.seek(0, os.SEEK_END) != part.start:
            raise ValueError(f"{part.name!r}: a part begins at {part.start:,} bytes, after {file.tell():,}")
        file.write(part.data)
        if part.last:
            file.flush()
            os.fsync(file.fileno())
    if part.last:
        half.replace(path)


def sources(files: Sequence[Path], folder: Path, project: Path) -> tuple[Path, list[str]]:
    """The folder that a recipe's files are sent from, and their names in it; they keep their places to one another.

    `folder` is where the recipe is looked for from. The project's folder is kept where all lies in it.
    """
    every = [folder.resolve(), *(file.resolve() for file in files)]
    whole = project.resolve()
    root = whole if all(each.is_relative_to(whole) for each in every) else Path(os.path.commonpath(every))
    return root, [file.resolve().relative_to(root).as_posix() for file in files]
