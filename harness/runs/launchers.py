"""The launchers by name; `--launch` takes its values from here."""

from __future__ import annotations

from collections.abc import Callable

from harness.runs.description import Launcher
from harness.runs.inline import InlineLauncher
from harness.runs.processes import ProcessLauncher

LAUNCHERS: dict[str, Callable[[int], Launcher]] = {
    "inline": lambda slots: InlineLauncher(),
    "processes": ProcessLauncher,
}


def open_launcher(name: str, slots: int) -> Launcher:
    """The launcher called `name` with so many slots."""
    return LAUNCHERS[name](slots)
