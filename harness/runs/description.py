"""What a slot needs to train one run, and the launchers of slots: shares of a device that train one run at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

from pydantic import BaseModel

from harness.measures import Measure
from harness.recipes.address import Address
from harness.recipes.events import Event
from harness.settings import Budget

SECTIONS = {"train": "settings", "data": "data", "evaluate": "evaluate", "budget": "budget"}
"""Section of a spec and of a run -> the member of a recipe that is its model."""


@dataclass(frozen=True, kw_only=True)
class RunDescription:
    """All that a slot needs to train one run: validated settings, which cross processes and machines as plain data.

    `train`, `data`, `evaluate`, `budget` and `references` are instances of the recipe's models. `identity` tells
    trainings apart: a checkpoint is of one. `trained` is the folder of a finished run of that same training. `prepare`
    names the start of a study whose data each machine prepares for itself; None where the coordinator has done it.
    """

    key: str
    name: str
    address: Address
    objective: Measure
    seed: int
    train: BaseModel
    data: BaseModel
    evaluate: BaseModel
    references: Mapping[str, BaseModel]
    budget: Budget
    directory: str
    identity: str = ""
    trained: str | None = None
    device: str | None = None
    threads: int | None = None
    prepare: str | None = None

    def plain(self) -> dict[str, Any]:
        """Its fields by name, settings and data as JSON has them: `of_plain` makes it again."""
        # The models of a recipe of one's own may be classes that no other process can import: they are made there.
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        for section in SECTIONS:
            plain[section] = plain[section].model_dump(mode="json")
        plain["references"] = {name: each.model_dump(mode="json") for name, each in self.references.items()}
        return plain

    def __reduce__(self) -> tuple[Any, ...]:
        return of_plain, (self.plain(),)


def of_plain(plain: dict[str, Any]) -> RunDescription:
    """The description that `plain` was made of; its recipe is loaded here. Raises SpecError."""
    recipe = plain["address"].load()
    for section, member in SECTIONS.items():
        plain[section] = getattr(recipe, member).model_validate(plain[section])
    plain["references"] = {name: recipe.data.model_validate(each) for name, each in plain["references"].items()}
    return RunDescription(**plain)


class Launcher(Protocol):
    """Where runs are trained. Only the coordinator talks to it, and only it talks to the slots."""

    slots: int

    def submit(self, slot: int, description: RunDescription, *beside: RunDescription) -> None:
        """Start `description` in `slot`, which must be free, and others of its cell `beside` it in the same program.

        The events of those are of slot + 1, slot + 2, ..., which must be nobody else's.
        """

    def events(self, timeout: float) -> list[tuple[int, Event]]:
        """(slot, event) pairs that came in within `timeout` seconds; each run ends with Finished or Failed."""

    def interrupt(self, slot: int | None = None) -> None:
        """Ask the run in `slot`, or every running run, to save a checkpoint and end as interrupted.

        One that is trained together with others goes on until all of them are asked.
        """

    def close(self) -> None:
        """End all slots."""
