"""Every storage of Optuna is opened here: checked, told not to hang, and made to wait for a database that is busy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalRedisBackend
from sqlalchemy import event
from sqlalchemy.engine import Engine

from harness.errors import StudyError
from harness.files.lines import whole_or_not
from harness.study.store import databases
from harness.study.store.address import exists, is_log, without_password
from harness.study.store.databases import BUSY, Program
from harness.study.store.patience import Patience, Patient, WhileWaiting

Hook = Callable[[], WhileWaiting | None]


def check(address: str, *, flag: str, program: Program, while_waiting: WhileWaiting | None = None) -> None:
    """Raise StudyError where `program` cannot keep its data at `address`. Writes nothing.

    `flag` is what the address was given with, for readers. Waits where it is locked or its server starts.
    """
    patience = Patience(address, lambda: while_waiting, flag=flag, program=program)
    patience(lambda: databases.probe(address, flag=flag, program=program), opening=True)


def opened(address: str, *, while_waiting: Hook = lambda: None, make: bool = False) -> Patient:
    """The storage at an address, an Optuna URL or a file of its journal. Raises StudyError for whatever is wrong.

    Without `make` nothing is written, and a storage that is not there yet is refused. `while_waiting` gives what is
    called while this or one of the storage's calls waits; see `Patience`.
    """
    _quiet()
    patience = Patience(address, while_waiting)

    def call() -> BaseStorage:
        place = f"{patience.flag} {without_password(address)}"
        if not make and not exists(address):
            raise StudyError(f"{place}: the file does not exist; run `harness ablate` first, or name another")
        databases.probe(address, flag=patience.flag, program="Optuna", write=make)
        if not make and not _holds(address):
            raise StudyError(f"{place}: holds no study of Optuna's; run `harness ablate` first, or name another")
        return _storage(address, make=make)

    return Patient(patience(call, opening=True), patience)


def is_there(address: str, *, while_waiting: Hook = lambda: None) -> bool:
    """Whether Optuna has kept anything at an address. Writes nothing. Raises StudyError for whatever is wrong."""

    def call() -> bool:
        if not exists(address):
            return False
        databases.probe(address, flag="--storage", program="Optuna", write=False)
        return _holds(address)

    return Patience(address, while_waiting)(call, opening=True)


def _holds(address: str) -> bool:
    if "://" not in address or address.startswith("redis"):
        return exists(address)
    return "version_info" in databases.tables_of(address, flag="--storage", program="Optuna")


def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Wherever a database is locked it speaks of another way to read it.
    logging.getLogger("optuna.storages._rdb.storage").setLevel(logging.ERROR)


def _storage(address: str, *, make: bool) -> BaseStorage:
    if is_log(address):
        return JournalStorage(_File(Path(address)))
    if address.startswith("redis"):
        return JournalStorage(_Redis(address))
    settings: dict[str, Any] = {"connect_args": databases.connecting(address)}
    if not address.startswith("sqlite"):
        settings["pool_pre_ping"] = True  # a connection that the server has closed meanwhile is made anew
    storage = RDBStorage(address, settings, skip_table_creation=not make)
    if storage.engine.dialect.name == "postgresql":
        _limit_locks(storage.engine)
    return get_storage(storage)


def _limit_locks(engine: Engine) -> None:
    """A call that meets a lock of another program fails soon, so that it is told of; it is tried again."""

    @event.listens_for(engine, "connect")
    def limit(connection: Any, record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {BUSY * 1000:.0f}")
        connection.commit()

    engine.dispose()  # so that no connection is left that was made before


class _File(BaseJournalBackend):
    """A journal in a file. A line that a full disk has cut is taken away again, or none after it could be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inner = JournalFileBackend(str(path))

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return self._inner.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with whole_or_not(self._path):
            self._inner.append_logs(logs)


class _Redis(BaseJournalBackend):
    """A journal in redis, without Optuna's snapshots of it: they are pickles, which may hold any program."""

    def __init__(self, address: str) -> None:
        self._inner = JournalRedisBackend(address)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return self._inner.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._inner.append_logs(logs)
