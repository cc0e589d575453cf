"""What a slot needs to train one run, and the launchers of slots: shares of a device that train one run at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel

from harness.recipes.events import Event
from harness.settings import Budget


@dataclass(frozen=True, kw_only=True)
class RunDescription:
    """All that a slot needs to train one run: validated settings, which cross processes and machines as they are.

    `train`, `data`, `evaluate` and `references` are instances of the recipe's models.
    """

    key: str
    name: str
    recipe: str
    seed: int
    train: BaseModel
    data: BaseModel
    evaluate: BaseModel
    references: Mapping[str, BaseModel]
    budget: Budget
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
