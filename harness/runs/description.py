"""What a slot needs to train one run, and the launchers of slots: shares of a device that train one run at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from harness.recipes.events import Event


@dataclass(frozen=True, kw_only=True)
class RunDescription:
    """All that a slot needs to train one run, as plain data that crosses processes and machines."""

    key: str
    name: str
    recipe: str
    seed: int
    train: dict[str, Any]
    data: dict[str, Any]
    evaluate: dict[str, Any]
    references: dict[str, dict[str, Any]]
    budget: dict[str, Any]
    directory: str
    device: str | None = None
    threads: int | None = None


class Launcher(Protocol):
    """Where runs are trained. Only the coordinator talks to it, and only it talks to the slots."""

    slots: int

    def submit(self, slot: int, description: RunDescription) -> None:
        """Start `description` in `slot`, which must be free."""

    def events(self, timeout: float) -> list[tuple[int, Event]]:
        """(slot, event) pairs that came in within `timeout` seconds; each run ends with Finished or Failed."""

    def interrupt(self, slot: int | None = None) -> None:
        """Ask the run in `slot`, or every running run, to save a checkpoint and end as interrupted."""

    def close(self) -> None:
        """End all slots."""
