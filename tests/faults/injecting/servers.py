"""A real PostgreSQL server for one study, started, stopped and started again, like that of the stores' tests."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

_STORES = Path(__file__).resolve().parents[2] / "study" / "conftest.py"


def _of_stores() -> ModuleType:
    about = importlib.util.spec_from_file_location("stores", _STORES)
    assert about is not None
    assert about.loader is not None
    module = importlib.util.module_from_spec(about)
    import sys

    sys.modules["stores"] = module
    about.loader.exec_module(module)
    return module


def why_no_postgres() -> str:
    """What is missing for a server; "" where nothing is."""
    if importlib.util.find_spec("psycopg") is None:
        return "needs the extra postgres: pip install 'harness[postgres]'"
    if not all(_of_stores()._postgres(program) for program in ("initdb", "pg_ctl", "createdb")):
        return "needs PostgreSQL's server: apt-get install postgresql"
    return ""


@contextmanager
def postgres() -> Iterator[Any]:
    """A server on 127.0.0.1: `address(name)` makes a database, `stop` and `start` do what they say."""
    stores = _of_stores()
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
    user = next((name for name in ("postgres", "nobody") if stores._known(name)), None) if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    (folder / "password").write_text(stores._PASSWORD)
    (folder / "password").chmod(0o644)
    server = stores.Postgres(folder, stores._free_port(), user)
    data, password = str(folder / "data"), f"--pwfile={folder / 'password'}"
    try:
        server.call("initdb", "-D", data, "-U", "harness", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync", password)
        server.start()
        yield server
    finally:
        with suppress(Exception):
            server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def opened(address: str) -> Iterator[Any]:
    """A connection to read from."""
    import psycopg

    with psycopg.connect(address) as connection:
        yield connection
