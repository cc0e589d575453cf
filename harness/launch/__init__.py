"""Slots: a share of a device that trains one run at a time. A launcher is functions from runs to events."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.errors import DivergedError
from harness.events import Event, Failed, Finished
from harness.settings import Budget, DataSettings, EvaluateSettings


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


def execute(
    description: RunDescription, emit: Callable[[Event], None], should_stop: Callable[[], bool] = lambda: False
) -> None:
    """Train one run in this process. Emits the run's events and always ends with Finished or Failed."""
    from harness import recipes

    try:
        if description.threads is not None:
            import torch

            torch.set_num_threads(description.threads)
        recipe = recipes.get(description.recipe)
        directory = Path(description.directory)
        directory.mkdir(parents=True, exist_ok=True)
        context = recipes.RunContext(
            seed=description.seed,
            directory=directory,
            data=DataSettings(**description.data),
            evaluate=EvaluateSettings(**description.evaluate),
            references={name: DataSettings(**value) for name, value in description.references.items()},
            budget=Budget(**description.budget),
            emit=emit,
            device=description.device,
            should_stop=should_stop,
        )
        summary = recipe.train(recipe.settings(**description.train), context)
    except recipes.Interrupted as stop:
        emit(Failed(kind="interrupted", reason=str(stop) or "asked to stop"))
    except DivergedError as outcome:
        emit(Failed(kind="diverged", reason=str(outcome)))
    except Exception as fault:
        emit(Failed(kind="error", reason=f"{type(fault).__name__}: {fault}", details=traceback.format_exc()))
    else:
        emit(Finished(images=int(summary.get("images", 0)), summary=summary))


def open_launcher(name: str, slots: int) -> Launcher:
    """The launcher called `name` (inline, processes) with so many slots."""
    if name == "inline":
        from harness.launch.inline import InlineLauncher

        return InlineLauncher()
    from harness.launch.processes import ProcessLauncher

    return ProcessLauncher(slots)
