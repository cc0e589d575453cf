"""The mistakes in a database's address, in words, for Optuna's storage and for MLflow's: found before it is used."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from harness.errors import StudyError
from harness.study.store.address import exists, file_of, is_log, scrubbed, without_password

Program = Literal["Optuna", "MLflow"]

BUSY = 0.5
"""Seconds that one try waits for a lock of SQLite's or of PostgreSQL's."""
_ANSWERS_WITHIN = 10  # seconds that a server has to take a connection
_MARKS = {"Optuna": "version_info", "MLflow": "experiments"}  # a table that only its database has
_OWN = {"Optuna": "sqlite:///optuna.db", "MLflow": "sqlite:///mlflow.db"}
_ALLOWED = {
    "Optuna": "sqlite:///FILE.db, postgresql://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE, redis://HOST, or a "
    "file of its journal like study.log",
    "MLflow": "sqlite:///FILE.db, postgresql://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE, or the address of an "
    "MLflow server like http://HOST:5000",
}
_DRIVERS = {
    "psycopg": "pip install 'harness[postgres]'",
    "psycopg2": "pip install psycopg2-binary",
    "MySQLdb": "pip install mysqlclient",
    "redis": "pip install redis",
}
_LIBPQ = ("psycopg", "psycopg2")
_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30000}
_LOGIN = (
    "give the login in the environment (PGUSER, PGPASSWORD) or in ~/.pgpass (mode 0600), and see that the role may "
    "use the database"
)


def connecting(address: str) -> dict[str, Any]:
    """What a driver is told so that no call hangs: seconds that SQLite waits for a lock, signs of life for libpq."""
    url = make_url(address)
    if url.get_backend_name() == "sqlite":
        return {"timeout": BUSY}
    if url.get_backend_name() == "postgresql" and url.get_driver_name() in _LIBPQ:
        told = {"connect_timeout": _ANSWERS_WITHIN, **_ALIVE}
        return {name: value for name, value in told.items() if name not in url.query}
    return {}


def probe(address: str, *, flag: str, program: Program, write: bool = True) -> None:
    """Raise StudyError where `address` is none that `program` can keep its data in, or what its driver raises.

    Writes nothing and makes no file. `flag` is what the address was given with, for readers; without `write` it is
    enough that the database can be read.
    """
    if "://" not in address or address.startswith("redis"):
        _probe_others(address, flag=flag, program=program, write=write)
        return
    if program == "MLflow" and re.match(r"https?://", address):
        _probe_server(address, flag=flag)
        return
    path = file_of(address)
    if path is not None:
        _probe_file(path, address, flag=flag, write=write)
    tables = tables_of(address, flag=flag, program=program)
    other: Program = "MLflow" if program == "Optuna" else "Optuna"
    if _MARKS[other] in tables and _MARKS[program] not in tables:
        raise StudyError(
            f"{flag} {without_password(address)}: is {other}'s database, which {program} would break; each needs one "
            f"of its own, like {_OWN[program]} or another database of the same server"
        )


_sound: set[tuple[Any, ...]] = set()  # SQLite files that were checked, by what tells that they have not changed since


def file_state(path: Path) -> tuple[Any, ...]:
    """What tells an SQLite file that has not changed from one that has."""
    beside = path.with_name(f"{path.name}-wal")
    stats = [each.stat() for each in (path, beside) if each.exists()]
    return (path.resolve(), *((each.st_ino, each.st_size, each.st_mtime_ns) for each in stats))


def tables_of(address: str, *, flag: str, program: Program) -> set[str]:
    """The names of the tables of a database, none where an SQLite file is not there; raises as `probe` does."""
    url = make_url(address)
    sqlite = url.get_backend_name() == "sqlite"
    path = file_of(address) if sqlite else None
    if sqlite and path is None:
        raise StudyError(
            f"{flag} {without_password(address)}: is a database in memory, which is gone when the command ends; "
            f"name a file, like {_OWN[program]}"
        )
    engine = create_engine(url, poolclass=NullPool, connect_args=connecting(address))
    if not exists(address):
        return set()
    with engine.connect() as connection:
        if path is not None and (state := file_state(path)) not in _sound:
            # Damage in the middle of a file may else be read as a wrong number. All of it is read for that: once.
            found = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
            if found == "ok":
                _sound.add(state)
            else:
                reason = f"the database is damaged ({' '.join(found.split())})"
                raise StudyError(f"{flag} {without_password(address)}: {reason}; {_recovery(address)}")
        return set(inspect(connection).get_table_names())


def _probe_file(path: Path, address: str, *, flag: str, write: bool) -> None:
    place = f"{flag} {without_password(address)}"
    folder = path.parent
    if not folder.is_dir():
        raise StudyError(f"{place}: the folder {folder} does not exist; make it, or name a file in another one")
    if path.is_dir():
        raise StudyError(f"{place}: {path} is a folder; name a file in it, like {path / 'optuna.db'}")
    # SQLite makes its journal beside the file, so that the folder is written too.
    for each in [path, folder] if path.exists() else [folder]:
        if write and not os.access(each, os.W_OK):
            raise StudyError(f"{place}: {each} cannot be written; give this user the right to, or name another file")


def _probe_others(address: str, *, flag: str, program: Program, write: bool) -> None:
    if program == "Optuna" and address.startswith("redis"):
        import redis  # type: ignore[import-not-found]

        redis.Redis.from_url(address, socket_connect_timeout=_ANSWERS_WITHIN).ping()
        return
    if program == "Optuna" and is_log(address):
        _probe_file(Path(address), address, flag=flag, write=write)
        return
    if program == "MLflow" and address.startswith("databricks"):
        return
    hint = f"for that file write sqlite:///{address}; " if address.endswith((".db", ".sqlite", ".sqlite3")) else ""
    raise StudyError(
        f"{flag} {without_password(address)}: is no address of a database; {hint}allowed: {_ALLOWED[program]}"
    )


def _probe_server(address: str, *, flag: str) -> None:
    """Raise where no MLflow server answers: MLflow itself tries for minutes."""
    import requests

    answer = requests.get(f"{address.rstrip('/')}/health", timeout=_ANSWERS_WITHIN)
    if answer.status_code == 404:
        raise StudyError(
            f"{flag} {without_password(address)}: something answers there, but no MLflow server; see that the "
            "address is that of `mlflow server`"
        )


def refusal(error: BaseException, address: str, *, flag: str, program: Program) -> StudyError:
    """What went wrong with a database, as its user's mistake: place, reason, remedy; no password in it."""
    reason, remedy = _reason(error, address, program)
    return StudyError(f"{flag} {without_password(address)}: {scrubbed(reason, address)}; {remedy}")


def _reason(error: BaseException, address: str, program: Program) -> tuple[str, str]:
    """What is wrong, and the remedy."""
    inner = _innermost(error)
    text = " ".join(str(inner).partition("\n")[0].split()) or type(inner).__name__
    if isinstance(inner, ModuleNotFoundError) and inner.name:
        remedy = _DRIVERS.get(inner.name.partition(".")[0], f"pip install {inner.name}")
        return f"its driver {inner.name} is not installed", f"install it with `{remedy}`"
    if isinstance(inner, ArgumentError | NoSuchModuleError):
        return "is no address of a database", f"allowed: {_ALLOWED[program]}"
    if isinstance(inner, sqlite3.Error):
        return _of_sqlite(inner, text, address, program)
    low = text.lower()
    if re.search(r"password|authentication|role .* does not exist|access denied|pg_hba|permission denied", low):
        login = _LOGIN if address.startswith("postgres") else "see that user and password are right"
        return f"the login was refused ({text})", login
    if re.search(r"database .* does not exist|unknown database", low):
        return f"the database is not there ({text})", "make it, for instance with `createdb`, or name another"
    if re.search(r"resolve|translate host|name or service not known|nodename nor servname", low):
        return f"the host is not known ({text})", "see that its name is right"
    if re.search(r"refused|timed? ?out|timeout|unreachable|no route|could not connect|max retries|connection", low):
        return f"nothing answers there ({text})", "see that the server runs and that host and port are right"
    return f"cannot be used by {program} ({text})", f"allowed: {_ALLOWED[program]}"


def _of_sqlite(error: sqlite3.Error, text: str, address: str, program: Program) -> tuple[str, str]:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return "the file is no SQLite database, or is damaged", f"restore a copy, or name another, like {_OWN[program]}"
    if code == sqlite3.SQLITE_CORRUPT:
        return f"the database is damaged ({text})", _recovery(address)
    if code == sqlite3.SQLITE_READONLY:
        return (
            f"the file cannot be written ({text})",
            "give this user the right to; where it was moved or replaced while the command ran, start again",
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return f"the file cannot be opened ({text})", "see that its folder is there and may be written"
    return f"cannot be used by {program} ({text})", f"name one that can, like {_OWN[program]}"


def _recovery(address: str) -> str:
    return f"restore a copy, or save what can be read with `sqlite3 {file_of(address)} .recover | sqlite3 saved.db`"


def _innermost(error: BaseException) -> BaseException:
    """What an error comes from: the driver's own words."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        error = getattr(error, "orig", None) or error.__cause__ or error
    return error
