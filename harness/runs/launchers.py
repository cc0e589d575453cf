"""The launchers by name."""

from __future__ import annotations

from harness.runs.description import Launcher


def open_launcher(name: str, slots: int) -> Launcher:
    """The launcher called `name` (inline, processes) with so many slots."""
    if name == "inline":
        from harness.runs.inline import InlineLauncher

        return InlineLauncher()
    from harness.runs.processes import ProcessLauncher

    return ProcessLauncher(slots)
