"""A disk that is full: what it did not take is written when there is room again."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_PAUSE = 1.0  # seconds between two tries


def is_missing(error: BaseException | None) -> bool:
    """Whether an error is that of a full disk or a used-up quota, or was raised from such a one."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def awaited(write: Callable[[], T], say: Callable[[str], None], give_up: Callable[[], bool]) -> T:
    """What `write` gives, which is tried until there is room for it.

    `say` is told once why it waits. Raises OSError for whatever else fails, and where `give_up` is true meanwhile.
    """
    said = False
    while True:
        try:
            return write()
        except OSError as error:
            if not is_missing(error) or give_up():
                raise
            if not said:
                say(error.strerror or str(error))
            said = True
            time.sleep(_PAUSE)
