"""Checkpoints: sealed, written whole or not at all, the last one kept, and read without unpickling but plain data."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

from harness.files import sealed
from harness.files.sealed import Damaged

NAME = "checkpoint.pt"
"""What a run calls the file in its folder."""
BEFORE = "checkpoint-before.pt"
"""The one before it, for where that is damaged."""


class Foreign(ValueError):  # noqa: N818 - a reason to do without a checkpoint, told in words
    """A sound checkpoint that is not this run's to go on from; the text says whose, as in "checkpoint.pt <text>"."""


def save(state: Mapping[str, Any], folder: Path) -> None:
    """Write `state` (tensors and plain data) as the checkpoint of the run in `folder`, and keep the one before it.

    A crash leaves the old ones or the new one. Raises OSError where the disk does not take it; the old one stays.
    """
    import torch  # here, so that who only looks whether there is one does without

    path = folder / NAME
    with sealed.sealing(path) as file:
        torch.save(dict(state), cast(IO[bytes], file))  # which only writes and flushes
        file.seal()
        _keep(path, folder / BEFORE)


def load(path: Path, *, identity: str) -> dict[str, Any]:
    """The checkpoint at `path`, a file that is sound to the last bit.

    Raises Damaged where it is not, Foreign where it is another run's, and OSError where it cannot be read.
    """
    import torch

    sealed.check(path)
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch raises many kinds for what is no plain data
        raise Foreign(f"cannot be read by torch {torch.__version__} ({_line(error)})") from error
    if not isinstance(state, dict) or "identity" not in state:
        raise Foreign("is no checkpoint of a run")
    if state["identity"] != identity:
        raise Foreign("is of another source or version of the recipe, or of other settings or data")
    return state


def newest(
    folders: Sequence[Path], *, identity: str, note: Callable[[str], None]
) -> tuple[dict[str, Any], Path] | tuple[None, None]:
    """The last sound checkpoint of the run `identity` in the first of `folders` that has one, and that folder.

    The first folder is the run's own, others are of runs of the same training. `note` is told of each checkpoint that
    is passed over, why, and what is gone on from instead. Those that are damaged are deleted: they would take the place
    of a sound one when the next is saved.
    """
    for left in folders[0].glob(f".{NAME}.*"):  # half of one, of a process that was killed
        left.unlink(missing_ok=True)
    refused = []
    for folder in folders:
        for name in (NAME, BEFORE):
            path = folder / name
            called = name if folder == folders[0] else f"{folder.name}/{name}"
            try:
                state = load(path, identity=identity)
            except FileNotFoundError:
                continue
            except Damaged as error:
                refused.append(f"{called} {error}, and is thrown away")
                with suppress(OSError):
                    path.unlink()
            except Foreign as error:
                refused.append(f"{called} {error}, and is not used")
            except OSError as error:
                refused.append(f"{called} cannot be read ({error.strerror or error})")
            else:
                if refused:
                    note(f"{'; '.join(refused)}: going on from {called}, the last good one")
                return state, folder
    if refused:
        note(f"{'; '.join(refused)}: there is no other, training starts anew")
    return None, None


def soundest(paths: Sequence[Path], note: Callable[[str], None]) -> Path | None:
    """The first of `paths`, checkpoints that another library wrote and that were sealed, that is sound; else None.

    `note` is told of those that are damaged, which are deleted.
    """
    refused = []
    for path in paths:
        try:
            sealed.check(path)
        except FileNotFoundError:
            continue
        except Damaged as error:
            refused.append(f"{path.name} {error}, and is thrown away")
            path.unlink()
        else:
            if refused:
                note(f"{'; '.join(refused)}: going on from {path.name}, the last good one")
            return path
    if refused:
        note(f"{'; '.join(refused)}: there is no other, training starts anew")
    return None


def kept(folder: Path) -> bool:
    """Whether there is a checkpoint in a run's folder."""
    return any((folder / name).exists() for name in (NAME, BEFORE))


def remove(folder: Path) -> None:
    """Delete the checkpoints in a run's folder."""
    for name in (NAME, BEFORE):
        (folder / name).unlink(missing_ok=True)


def unreadable(state: Mapping[str, Any]) -> str:
    """What in `state` could be written but not read back, since it is no plain data; "" where all can be."""
    import torch

    memory = io.BytesIO()
    try:
        torch.save(dict(state), memory)
        memory.seek(0)
        torch.load(memory, map_location="cpu", weights_only=True)
    except Exception as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        return found[1] if found else _line(error)
    return ""


def _keep(path: Path, before: Path) -> None:
    """Let `before` be what `path` is, so that there is a `path` at every moment."""
    if not path.exists():
        return
    aside = before.with_name(f".{NAME}.{os.getpid()}.before")
    try:
        os.link(path, aside)
        aside.replace(before)
    except OSError:  # a file system without hard links
        path.replace(before)
    finally:
        aside.unlink(missing_ok=True)  # is left where both were one file already


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
