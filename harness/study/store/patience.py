"""A storage that waits: a call that fails for a reason that passes, like a lock, is tried again until it succeeds."""

from __future__ import annotations

import errno
import json
import re
import sqlite3
import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from harness.errors import StudyError
from harness.study.store.address import file_of, without_password
from harness.study.store.databases import BUSY, Program, refusal

WhileWaiting = Callable[[str, float], None]
"""What is called between two tries, with the reason in words and the seconds waited so far."""

LIMIT = 30.0
"""Seconds after which a call that nobody is told of gives up."""
_PAUSE = 1.0  # seconds between two tries
_FIRST_PAUSE = 0.1

_FULL = "the disk is full"
_LOST = "the connection to it is lost"
_CROWDED = "it takes no more connections"
_LOCKED = "it is locked by another program"
_STARTS = "it is starting or stopping"
# The codes of PostgreSQL (appendix A of its manual), MySQL and the operating system that pass by themselves.
_SQLSTATES = {
    "53100": _FULL,
    "53300": _CROWDED,
    "55P03": _LOCKED,
    "25P02": _LOCKED,  # Optuna reads once more in the transaction that a lock has ended
    "40001": _LOCKED,
    "40P01": _LOCKED,
    "57014": _LOCKED,
    "57P01": _LOST,
    "57P02": _LOST,
    "57P03": _STARTS,
    "57P05": _LOST,
}
_MYSQL = {
    1021: _FULL,
    1040: _CROWDED,
    1053: _STARTS,
    1114: _FULL,
    1205: _LOCKED,
    1213: _LOCKED,
    2002: _LOST,
    2003: _LOST,
    2006: _LOST,
    2013: _LOST,
}
_ERRNOS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EIO: "the disk does not answer",
    errno.ESTALE: "the disk does not answer",
    errno.ETIMEDOUT: _LOST,
    errno.ECONNRESET: _LOST,
    errno.ECONNREFUSED: _LOST,
    errno.EPIPE: _LOST,
}
# What PostgreSQL says while a connection is made carries no code.
_CONNECTING = (
    (r"too many clients|remaining connection slots|too many connections", _CROWDED),
    (r"starting up|shutting down|in recovery mode|not yet accepting", _STARTS),
)
_UNREACHABLE = (
    r"connection refused|could not connect|closed the connection|connection (?:is|was|has been)? ?(?:lost|closed)|"
    r"timeout expired|timed out|broken pipe|reset by peer|resolve host|translate host name|no such file or directory|"
    r"network is unreachable|no route to host"
)
_Result = TypeVar("_Result")


def passing(error: BaseException, *, opening: bool = False) -> str | None:
    """Why a call failed, in words, where that passes by itself; None where it does not.

    When a storage is opened a server that cannot be reached is a mistake in its address; later it is a server that
    comes back.
    """
    for each in causes(error):
        if isinstance(each, sqlite3.Error):
            return _of_sqlite(each)
        kind, module = type(each).__name__, _module(each)
        if module == "redis":
            lost = kind in ("ConnectionError", "TimeoutError") and not opening
            return _STARTS if kind == "BusyLoadingError" else _LOST if lost else None
        code = getattr(each, "sqlstate", None) or getattr(each, "pgcode", None)
        if code:
            return _SQLSTATES.get(code) or (_LOST if code.startswith("08") and not opening else None)
        if module in ("pymysql", "MySQLdb") and each.args and each.args[0] in _MYSQL:
            found = _MYSQL[each.args[0]]
            return None if opening and found == _LOST else found
        if module.startswith("psycopg"):
            return _of_connecting(str(each), opening=opening)
        if isinstance(each, OSError) and each.errno in _ERRNOS:
            return _ERRNOS[each.errno]
    lost = any(getattr(each, "connection_invalidated", False) for each in causes(error))
    return _LOST if lost and not opening else None


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, the innermost first."""
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in chain:
        chain.append(at)
        at = getattr(at, "orig", None) or at.__cause__
    return reversed(chain)


def _of_sqlite(error: sqlite3.Error) -> str | None:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return {
        sqlite3.SQLITE_BUSY: _LOCKED,
        sqlite3.SQLITE_LOCKED: _LOCKED,
        sqlite3.SQLITE_FULL: _FULL,
        sqlite3.SQLITE_IOERR: "the disk does not answer",
    }.get(code)


def _of_connecting(text: str, *, opening: bool) -> str | None:
    text = text.lower()
    for pattern, reason in _CONNECTING:
        if re.search(pattern, text):
            return reason
    return _LOST if not opening and re.search(_UNREACHABLE, text) else None


def holder(path: Path) -> str:
    """The process of this machine that holds a lock on a file, in words; "" where none is known."""
    try:
        wanted = path.stat().st_ino
        locks = Path("/proc/locks").read_text().splitlines()
        processes = [int(parts[4]) for line in locks if int((parts := line.split())[5].rpartition(":")[2]) == wanted]
        for process in processes:
            name = Path(f"/proc/{process}/comm").read_text().strip()
            if process != _own_process():
                return f"process {process} ({name})"
    except (OSError, ValueError, IndexError):
        pass
    return ""


def _own_process() -> int:
    return int(Path("/proc/self").resolve().name)


def _is_of_a_database(error: Exception) -> bool:
    """Whether a call failed in the database rather than in what was asked of it."""
    return isinstance(error, SQLAlchemyError | StorageInternalError | OSError) or _module(error) == "redis"


def _module(error: BaseException) -> str:
    return type(error).__module__.partition(".")[0]


class Patience:
    """Tries a call again while it fails for a reason that passes.

    `hook` gives what is called between two tries, about every second; where it gives None nobody is told, and the call
    gives up after `LIMIT` seconds. What is called may raise, and then the call is given up; it must not use the
    storage, which is in the middle of a call.
    """

    def __init__(
        self,
        address: str,
        hook: Callable[[], WhileWaiting | None],
        *,
        flag: str = "--storage",
        program: Program = "Optuna",
    ) -> None:
        self.address, self.flag, self.program = address, flag, program
        self._hook = hook
        self._hurried: float | None = None
        self._path = file_of(address)
        self.name = self._path.name if self._path is not None else without_password(address)

    @contextmanager
    def hurried(self, seconds: float) -> Iterator[None]:
        """Inside, calls give up after so many seconds and tell nobody: this process is about to end."""
        before, self._hurried = self._hurried, seconds
        try:
            yield
        finally:
            self._hurried = before

    def __call__(self, call: Callable[[], _Result], *, opening: bool = False) -> _Result:
        """What `call` returns in the end. Raises StudyError where it fails for good."""
        began: float | None = None
        while True:
            try:
                return call()
            except StudyError:
                raise
            except Exception as error:
                found = passing(error, opening=opening)
                if found is None and not (opening or _is_of_a_database(error)):
                    raise
                if found is None:
                    raise refusal(error, self.address, flag=self.flag, program=self.program) from error
                cause = error
            now = time.monotonic()
            pause = _FIRST_PAUSE if began is None else _PAUSE
            began = now if began is None else began
            self._wait(self._words(found), now - began, pause, cause)

    def _wait(self, reason: str, waited: float, pause: float, cause: BaseException) -> None:
        hook = None if self._hurried is not None else self._hook()
        limit = LIMIT if self._hurried is None else self._hurried
        if hook is None and waited >= limit:
            raise StudyError(
                f"{self.flag} {without_password(self.address)}: {reason}, for {waited:.0f} s; {_remedy(reason)}, then "
                "the same command again goes on"
            ) from cause
        before = time.monotonic()
        if hook is not None:
            hook(reason, waited)
        time.sleep(max(0.0, pause - (time.monotonic() - before)))

    def _words(self, found: str) -> str:
        """The reason with the name of the storage, and who holds it where that is known."""
        if found == _LOCKED and self._path is not None and (who := holder(self._path)):
            return f"{self.name} is locked by {who}"
        if found == _LOCKED or found in (_CROWDED, _STARTS):
            return f"{self.name} {found.removeprefix('it ')}"
        return {
            _LOST: f"the connection to {self.name} is lost",
            _FULL: f"the disk of {self.name} is full",
        }.get(found, f"the disk of {self.name} does not answer")


def _remedy(reason: str) -> str:
    if "locked" in reason:
        return "close what holds it, a viewer or a backup"
    if "full" in reason:
        return "make room"
    return "see that the database answers"


def _patiently(name: str) -> Any:
    """A method of a storage that is tried again as a whole: each is one transaction, or reads."""

    def method(self: Patient, *arguments: Any, **named: Any) -> Any:
        return self.patience(lambda: getattr(self.inner, name)(*arguments, **named))

    method.__name__ = name
    return method


class Patient(BaseStorage):
    """A storage whose every call waits, by `patience`, for the storage that is `inner` to answer.

    A connection may be lost while a transaction is committed, so that nobody knows whether it was. What is not the same
    done twice is looked up before it is tried again.
    """

    def __init__(self, inner: BaseStorage, patience: Patience) -> None:
        self.inner = inner
        self.patience = patience
        self._attributes: dict[int, dict[str, Any]] = {}
        self._remembering = False

    create_new_study = _patiently("create_new_study")
    delete_study = _patiently("delete_study")
    set_study_user_attr = _patiently("set_study_user_attr")
    get_study_id_from_name = _patiently("get_study_id_from_name")
    get_study_name_from_id = _patiently("get_study_name_from_id")
    get_study_directions = _patiently("get_study_directions")
    get_study_user_attrs = _patiently("get_study_user_attrs")
    get_all_studies = _patiently("get_all_studies")
    set_trial_param = _patiently("set_trial_param")
    set_trial_intermediate_value = _patiently("set_trial_intermediate_value")
    set_trial_user_attr = _patiently("set_trial_user_attr")
    set_trial_system_attr = _patiently("set_trial_system_attr")
    get_trial_id_from_study_id_trial_number = _patiently("get_trial_id_from_study_id_trial_number")
    get_trial = _patiently("get_trial")
    get_best_trial = _patiently("get_best_trial")
    remove_session = _patiently("remove_session")

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """All trials of a study, those of `states` where some are named."""
        return self.patience(lambda: self.inner.get_all_trials(study_id, deepcopy=deepcopy, states=states))

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Add a trial; one like the template that the try before has added is taken for it."""
        tries = 0

        def call() -> int:
            nonlocal tries
            tries += 1
            if tries > 1 and template_trial is not None:
                found = self._added(study_id, template_trial)
                if found is not None:
                    return found
            self._refuse_locked()
            return self.inner.create_new_trial(study_id, template_trial)

        return self.patience(call)

    def _added(self, study_id: int, template: FrozenTrial) -> int | None:
        """The trial of the template, known by its attributes: run and attempt are among them."""
        wanted = json.loads(json.dumps(template.user_attrs))
        for trial in reversed(self.inner.get_all_trials(study_id, deepcopy=False)):
            if wanted and trial.user_attrs == wanted and trial.state == template.state:
                return self.inner.get_trial_id_from_study_id_trial_number(study_id, trial.number)
        return None

    def _refuse_locked(self) -> None:
        """Raise at once where an SQLite file is locked: Optuna would sleep through five tries and tell nobody."""
        path = file_of(self.patience.address)
        if path is not None and path.exists():
            connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None)
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise StorageInternalError(str(error)) from error
            finally:
                connection.close()

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Move a trial to a state; one that the try before has moved there is left so."""
        tries = 0

        def call() -> bool:
            nonlocal tries
            tries += 1
            if tries > 1 and self.inner.get_trial(trial_id).state == state:
                return True
            return self.inner.set_trial_state_values(trial_id, state, values)

        return self.patience(call)

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Inside, the system attributes of a study are read once: a note of a trial reads those of all others."""
        self._remembering = True
        try:
            yield
        finally:
            self._remembering = False

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """The system attributes of a study."""
        if self._remembering and study_id in self._attributes:
            return self._attributes[study_id]
        found: dict[str, Any] = self.patience(lambda: self.inner.get_study_system_attrs(study_id))
        if self._remembering:
            self._attributes[study_id] = found
        return found

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set a system attribute of a study."""
        self.patience(lambda: self.inner.set_study_system_attr(study_id, key, value))
        if study_id in self._attributes:
            self._attributes[study_id][key] = value
