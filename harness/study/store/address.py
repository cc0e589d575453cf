"""A storage by its URL: whether it is there, and how it is shown to readers."""

from __future__ import annotations

import re
from pathlib import Path


def exists(storage: str) -> bool:
    """Whether the storage is there already; asking Optuna would make an empty SQLite file."""
    prefix = "sqlite:///"
    return not storage.startswith(prefix) or Path(storage.removeprefix(prefix)).exists()


def without_password(storage: str) -> str:
    """A storage's URL for readers: what a database's user is known by is not theirs."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", storage)
