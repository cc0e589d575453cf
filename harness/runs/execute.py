"""One run in this process: a function from a run description to a stream of events."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

from harness import recipes
from harness.errors import DivergedError
from harness.recipes.events import Cause, Event, Failed, Finished
from harness.runs.description import RunDescription


def execute(
    description: RunDescription, emit: Callable[[Event], None], should_stop: Callable[[], bool] = lambda: False
) -> None:
    """Train one run in this process. Emits the run's events and always ends with Finished or Failed."""
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
            data=description.data,
            evaluate=description.evaluate,
            references=description.references,
            budget=description.budget,
            emit=emit,
            device=description.device,
            should_stop=should_stop,
        )
        summary = recipe.train(description.train, context)
    except recipes.Interrupted as stop:
        emit(Failed(kind=Cause.INTERRUPTED, reason=str(stop) or "asked to stop"))
    except DivergedError as outcome:
        emit(Failed(kind=Cause.DIVERGED, reason=str(outcome)))
    except Exception as fault:
        emit(Failed(kind=Cause.ERROR, reason=f"{type(fault).__name__}: {fault}", details=traceback.format_exc()))
    else:
        emit(Finished(images=int(summary.get("images", 0)), summary=summary))
