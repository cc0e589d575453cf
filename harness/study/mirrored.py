"""A mark on this machine that MLflow holds all of a study: a start that adds nothing needs no MLflow to know it.

The mark is of MLflow's database as it was when the mirror had brought all, of the study's trials, of its journals, and
of what the parent run is tagged with. Whatever changes one of these, be it a run of another study in the same database,
makes the next start look again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress

from harness.files.atomic import write_text
from harness.study.journal import Journal
from harness.study.store import StudyStore
from harness.study.store.address import file_of
from harness.study.store.databases import file_state
from harness.study.tracked import address

_MARK = ".mirrored"


def holds_all(store: StudyStore, journal: Journal, uri: str | None, tags: Mapping[str, str]) -> bool:
    """Whether MLflow holds all of the study, as a start of before left it. False where that is not known."""
    now = _state(store, journal, uri, tags)
    try:
        return now is not None and (journal.runs / _MARK).read_text(encoding="utf-8") == now
    except (OSError, ValueError):
        return False


def mark(store: StudyStore, journal: Journal, uri: str | None, tags: Mapping[str, str]) -> None:
    """MLflow holds all now. Needs the study's ownership."""
    if (now := _state(store, journal, uri, tags)) is not None:
        with suppress(OSError):  # a full disk: the next start looks again
            write_text(journal.runs / _MARK, now)


def _state(store: StudyStore, journal: Journal, uri: str | None, tags: Mapping[str, str]) -> str | None:
    """A digest of what the mark is of; None where MLflow is a server, which may change at any time."""
    path = file_of(address(uri))
    if path is None or not path.exists():
        return None
    journals = {}
    for key in sorted(journal.keys()):
        with suppress(OSError):
            found = journal.path(key).stat()
            journals[key] = [found.st_size, found.st_mtime_ns]
    facts = [list(map(str, file_state(path))), store.ended(), journals, dict(tags)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
