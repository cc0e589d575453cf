"""Where the runs of a study lie: found from wherever its next start is made, or said not to be here."""

from __future__ import annotations

import os
import platform
import uuid
from pathlib import Path

from harness.errors import StudyError
from harness.files.atomic import write_text
from harness.runs.folder import RUNS
from harness.runs.folder import run_folder as folder_of_run
from harness.study.store import StudyStore
from harness.study.store.address import exists
from harness.study.store.listing import names

_MARK = ".place"
"""The file in a study's folder that tells it from one of the same name on another machine."""
_KEY = "place"
_SQLITE = "sqlite:///"


def find(store: StudyStore) -> str:
    """Let `store.runs` be the folder of the study's runs, and give what is to be said of it, "" where nothing is.

    It is found by its whole path, as it lies to the storage's file, which may have moved with it, or as runs/STUDY. A
    study whose runs are elsewhere gets runs/STUDY in the current folder.
    """
    before, store.runs = store.recall(_KEY), RUNS / store.name
    if not before:
        return ""
    if (found := _found(before, store.storage, store.runs)) is None:
        return (
            f"the runs of study {store.name} lie in {before['path']} on {before['host']}, and not here on "
            f"{platform.node()}: those that had begun there start anew, in {store.runs.resolve()}; to go on from their "
            "checkpoints stop this, and start the study there or copy that folder to this one"
        )
    if found.resolve() == store.runs.resolve():
        return ""
    store.runs = found
    return f"the runs of study {store.name} go on in {found}, where they began"


def settle(store: StudyStore) -> None:
    """Let the study remember `store.runs`, where its runs are trained from now on. Needs its ownership."""
    before, here = store.recall(_KEY), store.runs.resolve()
    mark = before["mark"] if before and _is(store.runs, before) else uuid.uuid4().hex
    near = os.path.relpath(here, _beside(store.storage))
    now = {"host": platform.node(), "path": str(here), "near": near, "mark": mark}
    if now != before:
        write_text(store.runs / _MARK, mark)
        store.remember(**{_KEY: now})


def folder(store: StudyStore, study: str) -> Path:
    """The folder of the runs of a `study` in the store's storage, as a reader finds it."""
    try:
        whose = store if study == store.name else StudyStore.find(store.storage, study)
        before = whose.recall(_KEY)
    except StudyError:  # it was deleted since
        before = None
    here = RUNS / study
    return (before and _found(before, store.storage, here)) or here


def run_folder(run: str, storage: str) -> Path:
    """The folder of a finished run, from its path or its key: here under runs/, or where a study of the storage has it.

    The storage is asked only where the run is not found without. Raises StudyError.
    """
    try:
        return folder_of_run(run)
    except StudyError:
        if not exists(storage):
            raise
    places = [*RUNS.glob("*"), *(folder(StudyStore.find(storage, name), name) for name in names(storage))]
    return folder_of_run(run, {path.resolve(): path for path in reversed(places)}.values())


def _found(before: dict[str, str], storage: str, here: Path) -> Path | None:
    places = (here, Path(before["path"]), _beside(storage) / before["near"])
    return next((path for path in places if _is(path, before)), None)


def _is(path: Path, before: dict[str, str]) -> bool:
    try:
        return (path / _MARK).read_text(encoding="utf-8") == before["mark"]
    except (OSError, ValueError):
        return False


def _beside(storage: str) -> Path:
    """The folder of the storage's file; the current one for what is no file."""
    return Path(storage.removeprefix(_SQLITE)).resolve().parent if storage.startswith(_SQLITE) else Path.cwd()
