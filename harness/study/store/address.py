"""A storage by its address: what kind it is, where its file is, and how it is shown to readers."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

_LOGIN = re.compile(r"(://[^:/@?]*):(.*)@")
_SECRET = re.compile(r"([?&][^=&]*(?:password|passwd|secret|token)[^=&]*=)([^&]*)", re.IGNORECASE)


def file_of(address: str) -> Path | None:
    """The file of an SQLite database; None for any other address and for one in memory."""
    found = re.match(r"sqlite(?:\+\w+)?:///([^?]*)", address)
    if found is None or found[1] in ("", ":memory:"):
        return None
    return Path(found[1].removeprefix("file:"))


def is_log(address: str) -> bool:
    """Whether the address is that of a log file of Optuna's JournalStorage, as optuna-dashboard takes it too."""
    return "://" not in address and address.endswith(".log")


def exists(address: str) -> bool:
    """Whether the storage is there already, as far as files tell; asking Optuna would make an empty SQLite file."""
    path = Path(address) if is_log(address) else file_of(address)
    return path is None or path.exists()


def without_password(address: str) -> str:
    """An address for readers: what a database's user is known by is not theirs."""
    return _SECRET.sub(r"\1***", _LOGIN.sub(r"\1:***@", address))


def scrubbed(text: str, address: str) -> str:
    """A text in which no password of the address is left."""
    found = [match[2] for match in (*_LOGIN.finditer(address), *_SECRET.finditer(address))]
    for secret in sorted({each for word in found for each in (word, unquote(word)) if each}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
