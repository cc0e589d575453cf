"""Folders of a cache that several processes share: filled aside, moved to their place whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.errors import CacheError


@contextlib.contextmanager
def filled(folder: Path, *, sound: Callable[[], bool]) -> Iterator[Path]:
    """A new folder to fill, which becomes `folder` once the block ends well.

    One that another process put there first stays where `sound` says that it is whole. Raises CacheError where the
    cache cannot be written.
    """
    scratch: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        scratch.chmod(0o755)  # a cache may be shared
        yield scratch
        _place(scratch, folder, sound)
    except OSError as error:
        raise CacheError(
            f"the cache folder {folder} cannot be written ({error.strerror or error}); make room there, or set "
            "HARNESS_CACHE to another place"
        ) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _place(scratch: Path, folder: Path, sound: Callable[[], bool]) -> None:
    for attempt in range(3):
        try:
            os.rename(scratch, folder)
            return
        except OSError:
            if sound():
                return
            if attempt == 2:
                raise
        # Renamed before it is deleted: a process that has it mapped keeps its pages, and no half entry is seen.
        damaged = folder.with_name(f".{folder.name}.damaged.{os.getpid()}")
        with contextlib.suppress(OSError):  # another process was quicker
            os.rename(folder, damaged)
        shutil.rmtree(damaged, ignore_errors=True)
