"""The user's mistakes: every message names the place, the value, what is allowed and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HarnessError(ValueError):
    """A mistake of the user's that a better input mends. The command line prints it in one line, exit code 2."""


class SpecError(HarnessError):
    """A study specification that cannot be planned."""


class DataError(HarnessError):
    """A data set that cannot be read as asked."""


class CacheError(HarnessError):
    """A cache folder that cannot be written."""


class MetricError(HarnessError):
    """Input that no score can be computed from, or an extractor that is not to be had."""


class StudyError(HarnessError):
    """A study that cannot be opened, run or reported as asked."""


class RecipeError(HarnessError):
    """A recipe that returns or reports what is no result of a run."""


class KilledError(RecipeError):
    """A run whose process was ended by a signal: perhaps through no fault of its own."""


class OutOfMemoryError(RecipeError):
    """A run that needs more memory than there is."""


class DivergedError(RuntimeError):
    """A run whose training left the finite numbers or collapsed: an outcome of the run, not a fault of the program."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The hint after an unknown `name`: the allowed names, and the one most like it where there is one."""
    return f"allowed: {listed(name, allowed)}"


def listed(name: str, known: Iterable[str]) -> str:
    """The known names, and the one most like `name` where there is one."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return ", ".join(names) + (f"; did you mean '{close[0]}'?" if close else "")
